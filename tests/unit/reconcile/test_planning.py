"""Plans of a batch: what happens to GemmaDeployments that change while it is planned."""

import asyncio
from typing import Any, cast

import pytest
from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.resources import GEMMA_DEPLOYMENTS, NODES
from gemma_operator.controller.manager import make_stores
from gemma_operator.planner.types import Plan
from gemma_operator.reconcile import planning
from gemma_operator.reconcile.events import EventRecorder
from gemma_operator.reconcile.world import World

from tests.unit.inventory.builders import node
from tests.unit.planner.builders import CATALOG, spec_of

SPEC = {"model": "e4b", "precision": "bf16"}
ONE, TWO = ("default", "one"), ("default", "two")


def gemma_deployment(name: str, *, version: int, **metadata: str) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "resourceVersion": str(version),
            "creationTimestamp": f"2026-01-01T00:00:0{len(name)}Z",
            **metadata,
        },
        "spec": SPEC,
    }


@pytest.fixture
def world() -> World:
    """Two GemmaDeployments without a plan, and a GPU for each."""
    client = cast(Client, None)
    made = World(
        client=client,
        config=OperatorConfig(),
        catalog=CATALOG,
        events=EventRecorder(client, instance="test"),
        stores=make_stores(OperatorConfig()),
        operator_namespace="gemma-system",
        router_code={},
    )
    made.stores[NODES].upsert(node("a", gpus=2))
    for name in ("one", "two"):
        made.stores[GEMMA_DEPLOYMENTS].upsert(gemma_deployment(name, version=1))
    return made


def decide_one(world: World) -> Plan:
    obj = world.stores[GEMMA_DEPLOYMENTS].get(ONE)
    assert obj is not None
    decision = asyncio.run(planning.decide(world, obj, spec=spec_of(**SPEC), deployment=None))
    assert isinstance(decision.plan, Plan)
    return decision.plan


def test_all_that_wait_are_planned_together(world: World) -> None:
    assert decide_one(world).pools
    assert set(world.promises) == {ONE, TWO}
    assert set(world.planned) == {TWO}


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "being deleted"])
def test_nothing_is_promised_to_what_was_deleted_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """Its worker has forgotten it by then: the GPU would stay promised for as long as the operator runs."""
    plan_batch = planning._plan_batch

    def deleted_meanwhile(*given: Any) -> list[Plan]:
        store = world.stores[GEMMA_DEPLOYMENTS]
        if gone:
            store.remove(gemma_deployment("two", version=2))
        else:
            store.upsert(gemma_deployment("two", version=2, deletionTimestamp="2026-01-01T00:01:00Z"))
        return plan_batch(*given)

    monkeypatch.setattr(planning, "_plan_batch", deleted_meanwhile)
    assert decide_one(world).pools
    assert set(world.promises) == {ONE}
    assert world.planned == {}
    assert world.blocked == set()
