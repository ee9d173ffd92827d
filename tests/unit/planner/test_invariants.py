"""What must hold for every cluster and every spec."""

from collections import Counter
from dataclasses import replace
from typing import Any

from gemma_operator.inventory.build import with_promises
from gemma_operator.inventory.matching import admits
from gemma_operator.inventory.types import Amounts, Promise
from gemma_operator.planner.memory import block_size, kv_layout, overhead, weights_per_gpu
from gemma_operator.planner.serialize import promise_of
from gemma_operator.planner.types import Supply
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.inventory.builders import GFD, node
from tests.unit.planner.builders import CATALOG
from tests.unit.planner.truth import Claim
from tests.unit.planner.worlds import World, specs, worlds

thorough = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@thorough
@given(worlds())
def test_no_plan_exceeds_memory(world: World) -> None:
    for pool in world.plan().pools:
        model = CATALOG.models[pool.model]
        row = CATALOG.accelerators[pool.accelerator]
        (checkpoint,) = (
            c
            for c in CATALOG.checkpoints
            if (c.repository, c.precision, c.engine) == (pool.checkpoint, pool.precision, pool.engine)
        )
        multimodal = "--language-model-only" not in pool.args and not checkpoint.text_only
        taken = weights_per_gpu(checkpoint, gpus=pool.gpus_per_replica, model=model, multimodal=multimodal) + overhead(
            model,
            checkpoint,
            row,
            gpus=pool.gpus_per_replica,
            max_num_batched_tokens=pool.max_num_batched_tokens,
            max_num_seqs=pool.max_num_seqs,
            multimodal=multimodal,
        )
        layout = kv_layout(
            model=model,
            tp=pool.gpus_per_replica,
            kv_dtype=pool.kv_cache_dtype,
            max_num_batched_tokens=pool.max_num_batched_tokens,
            batches_in_flight=2,
            block_size=block_size(row, kv_dtype=pool.kv_cache_dtype),
        )
        room = row.memory_bytes * world.config.engine.gpu_memory_utilization - taken - layout.bytes_per_block
        typical = min(world.spec.typical_tokens, world.spec.context)
        assert layout.bytes(pool.max_model_len) <= room, "one request of full length"
        assert world.spec.concurrency * layout.bytes(typical) <= room, "as many typical requests as promised"
        assert pool.max_num_seqs * layout.bytes(typical) <= room
        assert pool.max_model_len >= world.spec.context
        assert pool.max_num_seqs >= world.spec.concurrency
        assert not multimodal or pool.max_num_batched_tokens >= 2496


@thorough
@given(worlds())
def test_every_candidate_is_chosen_or_has_one_true_reason(world: World) -> None:
    plan = world.plan()
    chosen = [(p.model, p.precision, p.accelerator, p.gpus_per_replica) for p in plan.pools]
    rejected = [(r.model, r.precision, r.accelerator, r.gpus_per_replica) for r in plan.rejected]
    assert not [key for key, times in Counter(chosen + rejected).items() if times > 1]
    for each in plan.rejected:
        assert each.reason
        assert Claim(world, each, plan.pools[0] if plan.pools else None).is_true(), each
    assert set(chosen + rejected) >= _candidates(world)


def _candidates(world: World) -> set[tuple[Any, ...]]:
    """What vLLM could be asked to run here, from the catalog and the raw nodes."""
    spec = world.spec
    models = [m for m in CATALOG.models.values() if spec.model in ("auto", m.key)]
    most: dict[str, int] = {}
    for each in world.nodes:
        gpu = next(g for g in GFD if GFD[g].items() <= each["metadata"]["labels"].items())
        if not spec.accelerators or gpu in spec.accelerators:
            most[gpu] = max(most.get(gpu, 0), int(each["status"]["allocatable"]["nvidia.com/gpu"]))
    return {
        (model.key, checkpoint.precision, gpu, gpus)
        for model in models
        for checkpoint in CATALOG.checkpoints
        if checkpoint.model == model.key and checkpoint.engine == "vllm"
        if spec.precision in ("auto", checkpoint.precision)
        for gpu, largest in most.items()
        for gpus in model.architecture.tensor_parallel_sizes
        if gpus <= largest
    }


@thorough
@given(worlds())
def test_a_plan_is_there_exactly_when_nothing_blocks(world: World) -> None:
    plan = world.plan()
    assert bool(plan.pools) != bool(plan.blocked)
    assert bool(plan.next_step) == bool(plan.blocked)
    assert plan.reason
    assert all(pool.supply is not Supply.OCCUPIED for pool in plan.pools)


@thorough
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_pods_does_not_matter(world: World, random: Any) -> None:
    nodes, pods = list(world.nodes), list(world.pods)
    random.shuffle(nodes)
    random.shuffle(pods)
    shuffled = replace(world, nodes=tuple(nodes), pods=tuple(pods))
    assert shuffled.inventory == world.inventory
    assert shuffled.plan() == world.plan() == world.plan()


def _no_worse(better: World, world: World) -> None:
    before, after = world.plan(), better.plan()
    if before.pools:
        assert after.pools, after.reason
        assert better.rank(after) <= world.rank(before)


@thorough
@given(worlds(waiting=False), st.sampled_from(sorted(GFD)), st.sampled_from([1, 2, 8]))
def test_another_node_never_makes_the_plan_worse(world: World, gpu: str, gpus: int) -> None:
    _no_worse(world.with_nodes(*world.nodes, node("new", gpu=gpu, gpus=gpus)), world)


@thorough
@given(worlds(waiting=False), st.data())
def test_a_pod_that_leaves_never_makes_the_plan_worse(world: World, data: st.DataObject) -> None:
    assume(world.pods)
    gone = data.draw(st.sampled_from(range(len(world.pods))))
    _no_worse(replace(world, pods=tuple(p for i, p in enumerate(world.pods) if i != gone)), world)


@thorough
@given(worlds(waiting=False), st.data())
def test_more_gpus_or_host_memory_on_a_node_never_make_the_plan_worse(world: World, data: st.DataObject) -> None:
    assume(world.nodes)
    index = data.draw(st.sampled_from(range(len(world.nodes))))
    grown = data.draw(st.sampled_from(["nvidia.com/gpu", "memory", "cpu", "ephemeral-storage"]))
    old = world.nodes[index]
    more = {"nvidia.com/gpu": "16", "memory": "2000Gi", "cpu": "256", "ephemeral-storage": "9000Gi"}[grown]
    new = {**old, "status": {**old["status"], "allocatable": {**old["status"]["allocatable"], grown: more}}}
    nodes = [new if number == index else each for number, each in enumerate(world.nodes)]
    _no_worse(world.with_nodes(*nodes), world)


@thorough
@given(worlds(waiting=False), st.sampled_from(["l4", "a100-40", "h100"]), st.floats(1.0, 3.0))
def test_more_gpu_memory_never_makes_the_plan_worse(world: World, gpu: str, factor: float) -> None:
    label = {"l4": "nvidia-l4", "a100-40": "nvidia-tesla-a100", "h100": "nvidia-h100-80gb"}[gpu]
    plain = [_without_gfd(each, gpu, label) for each in world.nodes]
    row = CATALOG.accelerators[gpu]
    larger = replace(row, memory_bytes=int(row.memory_bytes * factor))
    catalog = replace(CATALOG, accelerators={**CATALOG.accelerators, gpu: larger})
    small = world.with_nodes(*plain)
    _no_worse(replace(small, catalog=catalog), small)


def _without_gfd(obj: dict[str, Any], gpu: str, label: str) -> dict[str, Any]:
    """GFD reports the memory, so that a row with another amount would not be recognised."""
    labels = obj["metadata"]["labels"]
    if not GFD[gpu].items() <= labels.items():
        return obj
    kept = {key: value for key, value in labels.items() if key not in GFD[gpu]}
    return {**obj, "metadata": {**obj["metadata"], "labels": {**kept, "cloud.google.com/gke-accelerator": label}}}


@thorough
@given(worlds(), st.lists(specs(), min_size=1, max_size=3))
def test_deployments_that_are_planned_at_once_never_share_a_gpu(world: World, more: list[dict[str, Any]]) -> None:
    inventory = world.inventory
    promises: list[Promise] = []
    for number, fields in enumerate([world.fields, *more]):
        name = "chat" if number == 0 else f"other-{number}"
        made = replace(world, fields=fields).plan(inventory=inventory, name=name)
        promised = [promise_of(pool, namespace="default", name=name) for pool in made.pools]
        promises += promised
        inventory = with_promises(inventory, promised)
    bound = replace(world, pods=tuple(p for p in world.pods if p["spec"].get("nodeName"))).inventory
    room = {each.name: each.free_for(("default", "chat")) for each in bound.nodes}
    wanted = sorted(
        (promise for promise in promises for _ in range(promise.replicas)),
        key=lambda promise: -promise.requests.devices["nvidia.com/gpu"],
    )
    assert _packs(wanted, room, bound), "the replicas of all plans have room at the same time"


def _packs(wanted: list[Promise], room: dict[str, Amounts], inventory: Any) -> bool:
    """Whether some placement gives every replica its own GPUs."""
    if not wanted:
        return True
    first, rest = wanted[0], wanted[1:]
    return any(
        not each.unavailable
        and room[each.name].holds(first.requests)
        and admits(first.placement, labels=each.labels, taints=each.taints, name=each.name)
        and _packs(rest, {**room, each.name: room[each.name].minus(first.requests)}, inventory)
        for each in inventory.nodes
    )
