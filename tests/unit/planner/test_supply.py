"""How many replicas of a pool that runs could run, and what ends it."""

from typing import Any

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.spare import has_spare
from gemma_operator.planner.supply import Room, affordable, room
from gemma_operator.planner.types import Pool

from tests.unit.inventory.builders import affinity, node, pod, quota
from tests.unit.planner.builders import inventory_of, plan_on, spec_of

SPEC: dict[str, Any] = {"model": "e4b", "precision": "bf16", "accelerators": ["l4"]}
POOL: Pool = plan_on(inventory_of(node("a")), **SPEC).pools[0]
TERMS = affinity([dict(term) for term in POOL.node_selector_terms])


def replica(name: str, *, on: str) -> Any:
    return pod(name, on=on, gpus=1, deployment="chat", affinity=TERMS)


def found(inventory: Inventory, **spec: Any) -> Room:
    return room(pool=POOL, spec=spec_of(**{**SPEC, **spec}), namespace="default", name="chat", inventory=inventory)


def test_free_gpus_and_its_own() -> None:
    pods = [replica("r0", on="a"), pod("theirs", on="a", gpus=2)]
    assert found(inventory_of(node("a", gpus=4), node("b", gpus=1), pods=pods)) == Room(
        free=3, provisionable=0, limit="no more free l4"
    )


@pytest.mark.parametrize("why", [{"cordoned": True}, {"ready": False}, {"gpu": "h100"}])
def test_nodes_that_take_no_replica_of_this_pool(why: dict[str, Any]) -> None:
    assert found(inventory_of(node("a", gpus=2), node("b", gpus=8, **why))).total == 2


def test_what_is_promised_to_others_is_not_free() -> None:
    pending = pod("waits", gpus=1, deployment="other", affinity=TERMS)
    assert found(inventory_of(node("a", gpus=2), pods=[pending])).total == 1


def test_nodes_to_be_added() -> None:
    config = OperatorConfig.model_validate({"provisionable": [{"accelerator": "l4", "gpusPerNode": 2, "nodes": 3}]})
    assert found(inventory_of(node("a", gpus=1), config=config)) == Room(
        free=1, provisionable=6, limit="no more free l4"
    )


def test_a_quota_counts_with_its_name() -> None:
    limit = quota("team", hard={"requests.nvidia.com/gpu": "3"}, used={"requests.nvidia.com/gpu": "1"})
    pods = [replica("r0", on="a")]
    assert found(inventory_of(node("a", gpus=8), pods=pods, quotas=[limit])) == Room(
        free=3, provisionable=0, limit="ResourceQuota team leaves no more requests.nvidia.com/gpu"
    )


def spare(inventory: Inventory) -> bool:
    return has_spare(pool=POOL, namespace="default", name="chat", inventory=inventory)


def test_a_replica_beside_those_that_run_needs_a_gpu_and_a_quota_for_it() -> None:
    pods = [replica("r0", on="a")]
    assert spare(inventory_of(node("a", gpus=2), pods=pods))
    assert not spare(inventory_of(node("a", gpus=1), pods=pods))
    for hard, enough in (("2", True), ("1", False)):
        limit = quota("team", hard={"requests.nvidia.com/gpu": hard}, used={"requests.nvidia.com/gpu": "1"})
        assert spare(inventory_of(node("a", gpus=2), pods=pods, quotas=[limit])) is enough


@pytest.mark.parametrize(("factor", "replicas"), [(1, 1), (0.9, 0), (2.99, 2), (3, 3)])
def test_what_the_cap_affords(factor: float, replicas: int) -> None:
    assert POOL.cost_per_hour is not None
    assert affordable(pool=POOL, spec=spec_of(maxCostPerHour=POOL.cost_per_hour * factor)) == replicas


def test_without_a_cap_everything_is_affordable() -> None:
    assert affordable(pool=POOL, spec=spec_of()) is None
