"""The policy as a table: what it sees, what it says."""

from dataclasses import replace
from itertools import pairwise

import pytest
from gemma_operator.scaling import (
    Bounds,
    Candidate,
    Kind,
    Observation,
    PendingPod,
    PodSample,
    Settings,
    State,
    decide,
    victim,
)

from tests.unit.scaling.engines import START, World


def zero(**changes: object) -> Bounds:
    return replace(Bounds(minimum=0, maximum=8, max_num_seqs=10, idle_before_zero=120), **changes)  # type: ignore[arg-type]


def asleep(at: float, *, held: int | None = 0) -> Observation:
    return Observation(at=at, samples=(), ready=0, current=0, held=held)


def test_holds_while_one_replica_is_enough() -> None:
    world = World(replicas=1).run(900, rate=0.5)
    assert {decision.after for decision in world.decisions} == {1}


def test_grows_with_the_load_and_says_why() -> None:
    world = World(replicas=1).run(60, rate=1).run(600, rate=30)
    ups = [decision for decision in world.decisions if decision.kind is Kind.UP]
    assert ups
    assert world.replicas >= 5
    assert "running" in ups[0].reason
    assert ups[0].reason.startswith(f"{ups[0].before} → {ups[0].after}: ")
    assert "start-up 180 s assumed" in ups[0].reason


def test_shrinks_only_after_the_peak_was_held() -> None:
    world = World(replicas=1).run(900, rate=30)
    most = world.replicas
    world.decisions.clear()
    world.run(600, rate=1)
    assert min(decision.after for decision in world.decisions) >= most - 1
    world.run(7200, rate=1)
    assert world.replicas == 1


def test_decides_every_fifteen_seconds() -> None:
    world = World().run(300, rate=1)
    due = [decision.at for decision in world.decisions if decision.kind is not Kind.NOT_DUE]
    assert {later - earlier for earlier, later in pairwise(due)} == {15.0}


@pytest.mark.parametrize(
    ("bounds", "capped_by", "after", "words"),
    [
        (Bounds(maximum=3, max_num_seqs=128), "max", 3, "scaling.max is 3"),
        (Bounds(maximum=40, affordable=2, max_num_seqs=128), "maxCostPerHour", 2, "maxCostPerHour pays for 2"),
        (Bounds(maximum=40, supply=4, max_num_seqs=128), "supply", 4, "GPUs allow 4"),
    ],
)
def test_a_bound_that_stops_growth_is_named(bounds: Bounds, capped_by: str, after: int, words: str) -> None:
    world = World(bounds=bounds).run(900, rate=60)
    last = next(decision for decision in reversed(world.decisions) if decision.kind is not Kind.NOT_DUE)
    assert (last.after, last.capped_by) == (after, capped_by)
    assert words in last.reason


def test_a_gap_is_not_idleness() -> None:
    world = World().run(900, rate=30)
    before = world.replicas
    for _ in range(720):
        world.now += 5
        decision = world.step(world.observe(samples=(), unsampled=before))
        assert decision.after == before
        assert decision.kind is Kind.NO_DATA
        assert "no fresh metrics" in decision.reason


def test_nothing_leaves_while_one_replica_is_not_read() -> None:
    world = World().run(900, rate=30)
    before = world.replicas
    for _ in range(2000):
        world.now += 5
        for engine in world.engines:
            engine.serve(5, rate=0.1)
        seen = world.observe()
        assert world.step(replace(seen, samples=seen.samples[1:], unsampled=1)).after >= before


def test_old_samples_are_no_data() -> None:
    world = World().run(60, rate=1)
    seen = world.observe()
    world.now += 300
    decision = world.step(replace(seen, at=world.now))
    assert decision.kind is Kind.NO_DATA


def test_sleeps_after_idleness_and_not_before() -> None:
    world = World(bounds=zero(), replicas=1).run(300, rate=1)
    world.run(115)
    assert world.replicas == 1
    world.run(60)
    assert world.replicas == 0
    assert world.decisions[-1].after == 0


@pytest.mark.parametrize(
    "busy",
    [{"held": 1}, {"held": None}, {"in_flight": 1}, {"unsampled": 1, "samples": ()}],
    ids=lambda busy: next(iter(busy)),
)
def test_never_sleeps_while_something_is_to_be_done_or_unknown(busy: dict[str, object]) -> None:
    world = World(bounds=zero(), replicas=1).run(60, rate=1)
    for engine in world.engines:
        engine.running = engine.waiting = 0
    for _ in range(400):
        world.now += 5
        assert world.step(world.observe(**busy)).after >= 1


def test_wakes_with_as_many_as_held_requests_need() -> None:
    decision, _ = decide(asleep(START, held=35), State(), zero(), Settings())
    assert decision.kind is Kind.WAKE
    assert decision.after >= 4
    assert "35 held" in decision.reason


def test_wakes_between_two_decisions() -> None:
    state = State()
    for second in range(30):
        decision, state = decide(asleep(START + second), state, zero(), Settings())
        assert decision.after == 0
    decision, state = decide(asleep(START + 30, held=1), state, zero(), Settings())
    assert decision.after == 1


def test_fixed_is_fixed() -> None:
    world = World(bounds=Bounds(fixed=2), replicas=2).run(900, rate=60)
    assert {decision.after for decision in world.decisions} == {2}
    assert world.decisions[-1].kind is Kind.FIXED


def test_a_stuck_pod_is_named_and_not_counted() -> None:
    world = World(replicas=2, follow=False, bounds=Bounds(minimum=2, maximum=8)).run(60, rate=1)
    world.now += 15
    decision = world.step(
        world.observe(ready=1, samples=(world.engines[0].sample(world.now),), pending=(PendingPod("pod-1", 500.0),))
    )
    assert decision.stuck == ("pod-1",)
    assert decision.after == 3
    assert "stuck in start-up: pod-1" in decision.reason


def test_pods_that_get_stuck_one_after_the_other_are_replaced_by_one_at_most() -> None:
    world = World(replicas=1, follow=False, bounds=Bounds(minimum=1, maximum=8, longest_start=900))
    world.engines = []
    ages: list[float] = [0.0]
    asked = set()
    for _ in range(1200):
        world.now += 5
        ages = [age + 5 for age in ages]
        pending = tuple(PendingPod(f"pod-{index}", age) for index, age in enumerate(ages))
        after = world.step(world.observe(ready=0, samples=(), pending=pending, current=len(ages))).after
        if after > len(ages):
            asked.add(ages[0])
            ages.append(0.0)
    assert len(ages) == 2
    assert min(asked) > 900, "before a start was seen, weights may take as long as the budget allows"


def test_a_stuck_pod_is_not_replaced_where_the_others_are_enough() -> None:
    """The pod of a rollout beside the replica that it is to follow."""
    world = World(replicas=1, follow=False).run(60, rate=1)
    for _ in range(8):
        world.now += 5
        world.engines[0].serve(5, rate=1)
        decision = world.step(world.observe(pending=(PendingPod("new", 5000.0),)))
        assert decision.after == 1
    assert decision.stuck == ("new",)


def test_replicas_for_what_was_held_at_the_start_go_when_it_is_done() -> None:
    """Not while they load and requests wait for them, and long before peaks are forgotten."""
    decision, state = decide(asleep(START), State(), zero(), Settings())
    decision, state = decide(asleep(START + 1, held=70), state, zero(), Settings())
    assert (decision.kind, decision.after) == (Kind.WAKE, 7)
    world = World(replicas=7, bounds=zero(), state=state, now=START + 1, held=70)
    loading = tuple(PendingPod(engine.name, 1.0) for engine in world.engines)
    for _ in range(60):
        world.now += 5
        assert world.step(world.observe(ready=0, samples=(), pending=loading)).after == 7
    world.held = 0
    world.run(300, rate=2)
    assert 1 <= world.replicas <= 3


def test_a_hung_pod_is_named() -> None:
    world = World(replicas=2, follow=False).run(60, rate=1)
    world.engines[1].running = 3
    for _ in range(16):
        world.now += 5
        world.engines[0].serve(5, rate=1)
        decision = world.step()
    assert decision.hung == ("pod-1",)


def test_does_not_shrink_after_a_start_without_memory() -> None:
    world = World(replicas=6).run(600, rate=0.5)
    assert {decision.after for decision in world.decisions} == {6}


@pytest.mark.parametrize("jump", [-86_400.0, -60.0, 3_600.0, 86_400.0])
def test_a_clock_jump_does_no_harm(jump: float) -> None:
    world = World().run(1200, rate=20)
    before = world.replicas
    world.now += jump
    world.decisions.clear()
    world.run(300, rate=20)
    assert {decision.after for decision in world.decisions} == {before}


def test_a_pod_read_late_is_no_burst() -> None:
    world = World(replicas=1).run(600, rate=1)
    old = PodSample(
        pod="old",
        at=world.now + 5,
        running=1,
        waiting=0,
        kv_usage=0.01,
        completions=90_000,
        generation_tokens=10_000_000,
        prompt_tokens=90_000_000,
        steps=5_000_000,
        ready_at=world.now - 90_000,
    )
    world.now += 5
    seen = world.observe()
    decision = world.step(replace(seen, samples=(*seen.samples, old), ready=2, current=2))
    for _ in range(12):
        world.now += 5
        world.engines[0].serve(5, rate=1)
        seen = world.observe()
        decision = world.step(replace(seen, samples=(*seen.samples, replace(old, at=world.now)), ready=2, current=2))
        assert decision.after <= 2


def test_the_newest_loading_pod_leaves_first() -> None:
    pods = [Candidate("a", False, 900, 0), Candidate("b", True, 90, 0), Candidate("c", True, 10, 0)]
    assert victim(pods) == "c"
    assert victim([Candidate("a", False, 900, 7), Candidate("b", False, 90, 3)]) == "b"
    assert victim([]) is None


def test_clients_that_leave_the_queue_take_no_work_along() -> None:
    """What they would have asked for is soon no longer taken from what others ask for."""
    world = World(replicas=3, follow=False).run(600, rate=20)
    world.held = 2000
    world.run(5, rate=20)
    world.held = 0
    world.run(5, rate=20)
    assert world.state.bins[-1].asked == 0
    world.run(45, rate=20)
    assert world.state.bins[-1].asked == world.state.bins[-1].generated
