"""Which candidate is chosen: supply, then quality, then speed floor, preference, price, precision."""

from typing import Any

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.types import Pool, Supply

from tests.unit.inventory.builders import node, pod
from tests.unit.planner.builders import inventory_of, plan_on, rejection


def shape(pool: Pool) -> str:
    return f"{pool.model} {pool.precision} {pool.gpus_per_replica}x{pool.accelerator}"


def chosen(inventory: Inventory, **spec: Any) -> Pool:
    plan = plan_on(inventory, **spec)
    assert len(plan.pools) == 1, plan.reason
    return plan.pools[0]


@pytest.mark.parametrize(
    ("gpu", "gpus", "spec", "expected"),
    [
        ("l4", 4, {"model": "e2b"}, "e2b bf16 1xl4"),
        ("l4", 1, {"model": "12b", "precision": "int4"}, "12b int4 1xl4"),
        ("l40s", 1, {"model": "26b-a4b", "precision": "fp8"}, "26b-a4b fp8 1xl40s"),
        ("h100", 1, {"model": "26b-a4b", "precision": "fp8"}, "26b-a4b fp8 1xh100"),
        ("h100", 2, {"model": "31b", "precision": "bf16", "context": 262144}, "31b bf16 2xh100"),
        ("a100-40", 1, {"model": "31b", "precision": "int4", "concurrency": 4}, "31b int4 1xa100-40"),
        ("l4", 1, {}, "26b-a4b int4 1xl4"),
        ("l4", 1, {"atLeast": "e4b", "precision": "bf16"}, "e4b bf16 1xl4"),
        ("h100", 8, {}, "31b bf16 1xh100"),
        ("l4", 4, {"model": "google/gemma-4-E4B-it"}, "e4b bf16 1xl4"),
    ],
)
def test_one_kind_of_node(gpu, gpus, spec, expected):
    assert shape(chosen(inventory_of(node("n", gpu=gpu, gpus=gpus)), **spec)) == expected


def test_free_gpus_come_before_nodes_to_be_added():
    config = OperatorConfig.model_validate({"provisionable": [{"accelerator": "h100", "gpusPerNode": 8, "nodes": 1}]})
    with_l4 = inventory_of(node("a", gpus=1), config=config)
    assert chosen(with_l4, config=config).supply is Supply.FREE
    assert chosen(with_l4, config=config).accelerator == "l4"
    full = inventory_of(node("a", gpus=1), pods=[pod("other", on="a", gpus=1)], config=config)
    pool = chosen(full, config=config)
    assert (pool.accelerator, pool.supply) == ("h100", Supply.PROVISIONABLE)


def test_quality_comes_before_price():
    inventory = inventory_of(node("a", gpus=1), node("h", gpu="h100", gpus=1))
    assert shape(chosen(inventory)) == "31b bf16 1xh100"


def test_the_cheapest_gpu_above_the_speed_floor_wins():
    inventory = inventory_of(node("a"), node("h", gpu="h100", gpus=1))
    cheap = chosen(inventory, model="e4b", precision="bf16", tokensPerSecond=10)
    assert shape(cheap) == "e4b bf16 1xl4"
    floor = cheap.decode_tokens_per_second * 4
    fast = chosen(inventory, model="e4b", precision="bf16", tokensPerSecond=floor)
    assert fast.decode_tokens_per_second >= floor
    assert shape(fast) == "e4b bf16 1xh100"


def test_a_model_that_is_too_slow_everywhere_is_still_served_with_a_warning():
    plan = plan_on(inventory_of(node("a")), model="e4b", tokensPerSecond=5000)
    assert len(plan.pools) == 1
    assert any("below tokensPerSecond 5000" in warning for warning in plan.warnings)


def test_the_users_order_of_accelerators_beats_price():
    inventory = inventory_of(node("a"), node("h", gpu="h100", gpus=1))
    assert shape(chosen(inventory, model="e2b", accelerators=["h100", "l4"])) == "e2b bf16 1xh100"
    assert shape(chosen(inventory, model="e2b", accelerators=["l4", "h100"])) == "e2b bf16 1xl4"


def test_precision_decides_at_the_same_price():
    plan = plan_on(inventory_of(node("h", gpu="h100", gpus=1)), model="26b-a4b")
    assert shape(plan.pools[0]) == "26b-a4b bf16 1xh100"
    assert "bf16 is more exact" in rejection(plan, precision="fp8", gpus_per_replica=1).reason


def test_cpu_only_when_listed():
    inventory = inventory_of(node("a"))
    assert chosen(inventory, model="e2b").accelerator == "l4"
    pool = chosen(inventory, model="e2b", accelerators=["cpu"])
    assert (pool.accelerator, pool.resource, pool.gpus_per_replica) == ("cpu", None, 0)
    assert dict(pool.env)["VLLM_CPU_KVCACHE_SPACE"] == str(pool.memory.kv_cache >> 30)
    assert pool.resources.memory_bytes >= pool.memory.weights + pool.memory.kv_cache


SHARED = {
    "nvidia.com/gpu.product": "NVIDIA-L4-SHARED",
    "nvidia.com/gpu.replicas": "2",
    "nvidia.com/gpu.sharing-strategy": "time-slicing",
}


def test_time_sliced_gpus_only_when_listed():
    inventory = inventory_of(node("a", gpus=8, labels=SHARED))
    assert plan_on(inventory, model="e2b", context=2560, concurrency=1, typicalTokens=512).pools == ()
    pool = chosen(inventory, model="e2b", precision="int4", context=2560, concurrency=1, accelerators=["l4-shared"])
    assert pool.accelerator == "l4-shared-2"
    assert pool.gpu_memory_utilization == pytest.approx(0.45)
    assert pool.memory.reported < 12 * 2**30


def test_a_gpu_outside_the_table_is_planned_from_its_labels():
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-Z9000",
        "nvidia.com/gpu.memory": "98304",
        "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
    }
    pool = chosen(inventory_of(node("z", gpu=None, labels=labels)), model="31b", precision="fp8")
    assert "z9000" in pool.accelerator
    assert pool.memory.reported == 98304 * 2**20
    assert pool.cost_per_hour is None
    product = {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-Z9000"]}
    assert product in pool.node_selector_terms[0]["matchExpressions"]


def test_replicas_must_all_fit():
    two = inventory_of(node("a", gpus=1), node("b", gpus=1))
    pool = chosen(two, model="e4b", scaling={"min": 2})
    assert (pool.replicas, pool.gpus_per_replica) == (2, 1)
    assert plan_on(two, model="e4b", scaling={"min": 3}).blocked == "NothingFits"
    assert plan_on(two, model="e4b", replicas=3).blocked == "NothingFits"
    assert chosen(two, model="e4b", replicas=0).replicas == 1, "a sleeping deployment keeps a plan"
    assert chosen(two, model="e4b", scaling={"min": 0}).replicas == 1


def test_own_pods_count_as_free():
    mine = pod("mine", on="a", gpus=1, deployment="chat")
    inventory = inventory_of(node("a", gpus=1), pods=[mine])
    assert chosen(inventory, model="e4b").accelerator == "l4"
    assert plan_on(inventory, name="other", model="e4b").blocked == "InsufficientCapacity"


def test_context_and_concurrency_are_promised():
    pool = chosen(inventory_of(node("h", gpu="h100", gpus=8)), model="31b", context=65536, concurrency=20)
    assert pool.max_model_len == 65536
    assert pool.sequences_typical >= 20
    assert pool.max_num_seqs >= 20
    assert pool.sequences_full >= 1


def test_images_need_enough_batched_tokens_and_text_does_not():
    tight: dict[str, Any] = {"model": "12b", "precision": "int4", "concurrency": 1, "typicalTokens": 512}
    inventory = inventory_of(node("a", gpus=1))
    for context in (8192, 131072, 262144):
        plan = plan_on(inventory, context=context, **tight)
        assert all(pool.max_num_batched_tokens >= 2496 for pool in plan.pools)
    texts = plan_on(inventory, context=262144, features={"images": False}, **tight)
    assert texts.pools
    assert "--language-model-only" in texts.pools[0].args


def test_fp8_cache_only_where_full_precision_does_not_fit_and_never_on_ampere():
    h100 = inventory_of(node("h", gpu="h100", gpus=1))
    short = chosen(h100, model="31b", precision="bf16", context=32768, concurrency=2)
    assert short.kv_cache_dtype == "auto"
    long = plan_on(h100, model="31b", precision="bf16", context=131072, concurrency=2)
    assert [pool.kv_cache_dtype for pool in long.pools] == ["fp8"]
    assert any("fp8" in warning for warning in long.warnings)
    ampere = plan_on(inventory_of(node("a", gpu="a100-40", gpus=1)), model="31b", precision="int4", context=262144)
    assert ampere.pools == ()


def test_a_mig_partition_is_never_split():
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
        "nvidia.com/mig.strategy": "mixed",
        "nvidia.com/mig-3g.40gb.product": "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb",
        "nvidia.com/mig-3g.40gb.memory": "40448",
        "nvidia.com/mig-3g.40gb.count": "2",
    }
    inventory = inventory_of(node("m", gpu=None, gpus=2, resource="nvidia.com/mig-3g.40gb", labels=labels))
    plan = plan_on(inventory, model="e4b")
    assert [(p.resource, p.gpus_per_replica) for p in plan.pools] == [("nvidia.com/mig-3g.40gb", 1)]
    assert {each.gpus_per_replica for each in plan.rejected} == {1}


@pytest.mark.parametrize("accelerator", ["l4", "cpu"])
@pytest.mark.parametrize("arguments", [["--max-num-seqs=4"], ["--seed=1", "--max-num-seqs", "4"]])
def test_the_users_own_number_of_sequences_is_planned_with(arguments, accelerator):
    inventory = inventory_of(node("a"))
    plan = plan_on(inventory, model="e2b", accelerators=[accelerator], pod={"extraArgs": arguments})
    assert plan.pools[0].max_num_seqs == 4
    assert "--max-num-seqs=4" in plan.pools[0].args
