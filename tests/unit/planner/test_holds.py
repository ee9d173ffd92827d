"""Whether a plan that runs still holds, and what it becomes."""

from typing import Any

import pytest
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.plan import Held, holds, still_exists
from gemma_operator.planner.types import Pool

from tests.unit.inventory.builders import affinity, node, pod
from tests.unit.planner.builders import CATALOG, CONFIG, inventory_of, plan_on, spec_of

BEFORE: dict[str, Any] = {"model": "e4b", "precision": "bf16"}
NODES = [node("a", gpus=1), node("h", gpu="h100", gpus=1)]


def running(**spec: Any) -> tuple[Pool, Inventory]:
    """A pool that was planned and whose replica runs on node a."""
    pool = plan_on(inventory_of(*NODES), **spec).pools[0]
    mine = pod("r0", on="a", gpus=1, deployment="chat", affinity=affinity([dict(t) for t in pool.node_selector_terms]))
    return pool, inventory_of(*NODES, pods=[mine])


def held(pool: Pool, inventory: Inventory, **spec: Any) -> Held:
    return holds(
        pool=pool,
        spec=spec_of(**spec),
        name="chat",
        namespace="default",
        inventory=inventory,
        catalog=CATALOG,
        config=CONFIG,
    )


def test_nothing_changed():
    pool, inventory = running(**BEFORE)
    assert held(pool, inventory, **BEFORE) == Held(pool=pool)


@pytest.mark.parametrize(
    ("change", "attribute", "value"),
    [
        ({"context": 16384}, "max_model_len", 16384),
        ({"replicas": 4}, "replicas", 4),
        ({"scaling": {"min": 2}}, "replicas", 2),
        ({"concurrency": 12}, "max_num_seqs", None),
        ({"model": "auto"}, "model", "e4b"),
        ({"atLeast": "e2b", "model": "auto"}, "model", "e4b"),
        ({"precision": "auto"}, "precision", "bf16"),
        ({"accelerators": ["h100", "l4"]}, "accelerator", "l4"),
    ],
)
def test_the_same_candidate_with_new_numbers(change, attribute, value):
    pool, inventory = running(**BEFORE)
    now = held(pool, inventory, **{**BEFORE, **change}).pool
    assert now is not None
    assert (now.model, now.accelerator, now.gpus_per_replica) == (pool.model, pool.accelerator, pool.gpus_per_replica)
    if value is not None:
        assert getattr(now, attribute) == value


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model": "31b"}, "no longer allows e4b"),
        ({"model": "auto", "atLeast": "12b"}, "no longer allows e4b"),
        ({"precision": "fp8"}, "asks for precision fp8"),
        ({"accelerators": ["h100"]}, "no longer lists l4"),
        ({"concurrency": 400}, "concurrency asks for 400"),
        ({"maxCostPerHour": 0.1}, "above maxCostPerHour"),
        ({"maxCostPerHour": 1.0, "scaling": {"min": 2}}, "above maxCostPerHour"),
        ({"pod": {"nodeSelector": {"zone": "b"}}}, "spec.pod.nodeSelector"),
    ],
)
def test_what_ends_a_plan(change, why):
    pool, inventory = running(**BEFORE)
    found = held(pool, inventory, **{**BEFORE, **change})
    assert found.pool is None
    assert why in found.reason


def test_a_plan_without_pods_whose_gpus_others_took_does_not_hold():
    pool, _ = running(**BEFORE)
    taken = inventory_of(*NODES, pods=[pod("other", on="a", gpus=1)])
    assert "once others leave" in held(pool, taken, **BEFORE).reason


def test_an_accelerator_that_vanished():
    pool, inventory = running(**BEFORE)
    assert still_exists(pool=pool, inventory=inventory) == ""
    gone = inventory_of(NODES[1])
    assert still_exists(pool=pool, inventory=gone) == "no node carries l4 any more: add one, or let the plan change"
    assert held(pool, gone, **BEFORE).reason == still_exists(pool=pool, inventory=gone)


def test_a_cordon_does_not_make_the_accelerator_vanish():
    pool, _ = running(**BEFORE)
    assert still_exists(pool=pool, inventory=inventory_of(node("a", cordoned=True))) == ""
