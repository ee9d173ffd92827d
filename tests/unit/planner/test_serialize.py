"""The JSON of plans: exact there and back, and the keys that programs rely on."""

import json

import pytest
from gemma_operator.planner.serialize import plan_to_json, pool_from_json, pool_to_json, promise_of
from gemma_operator.planner.types import Supply

from tests.unit.inventory.builders import node
from tests.unit.planner.builders import inventory_of, plan_on

INVENTORY = inventory_of(node("a"), node("h", gpu="h100"))
PLANS = [
    plan_on(INVENTORY, model="e2b"),
    plan_on(INVENTORY, model="31b", features={"thinking": True}),
    plan_on(INVENTORY, model="e4b", accelerators=["cpu"]),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.pools[0].model)
def test_there_and_back(plan):
    pool = plan.pools[0]
    assert pool_from_json(json.loads(json.dumps(pool_to_json(pool)))) == pool


def test_the_keys_of_a_plan():
    body = json.loads(json.dumps(plan_to_json(PLANS[0])))
    assert set(body) == {"plan", "rejected"}
    assert set(body["plan"]) == {"pools", "reason"}
    assert {
        "model",
        "checkpoint",
        "precision",
        "engine",
        "accelerator",
        "gpusPerReplica",
        "maxModelLen",
        "maxNumSeqs",
        "maxNumBatchedTokens",
        "kvCacheTokens",
        "nodeSelectorTerms",
        "args",
        "costPerHour",
    } <= set(body["plan"]["pools"][0])
    assert {"model", "precision", "accelerator", "gpusPerReplica", "reason"} <= set(body["rejected"][0])
    assert body["plan"]["pools"][0]["supply"] == "Free"


def test_a_blocked_plan_says_so():
    body = plan_to_json(plan_on(INVENTORY, accelerators=["b200"]))
    assert body["plan"]["pools"] == []
    assert body["plan"]["blocked"] == "NoSuchAccelerator"
    assert body["plan"]["nextStep"]


def test_unknown_supply_is_refused():
    with pytest.raises(KeyError):
        pool_from_json({**pool_to_json(PLANS[0].pools[0]), "supply": "maybe"})


def test_a_promise_asks_for_what_the_pool_asks_for():
    pool = plan_on(
        inventory_of(node("a", labels={"zone": "a"})), model="e2b", pod={"nodeSelector": {"zone": "a"}}
    ).pools[0]
    promise = promise_of(pool, namespace="default", name="chat", replicas=3)
    assert promise.requests.devices == {"nvidia.com/gpu": 1}
    assert promise.requests.memory == pool.resources.memory_bytes
    assert (promise.replicas, promise.placement.selector) == (3, {"zone": "a"})
    assert pool.supply is Supply.FREE
