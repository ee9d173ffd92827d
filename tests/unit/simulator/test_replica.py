"""Runs of steps as one event give the times that single steps give."""

from array import array

import pytest
from gemma_operator.simulator.fleet import Fleet
from gemma_operator.simulator.peers.static import Static
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.types import Profile, Setup, Trace
from gemma_router.load import allowance
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.simulator.reference import Slow


def trace(rows: list[tuple[float, int, int]]) -> Trace:
    return Trace(
        name="made",
        arrivals=array("d", [row[0] for row in rows]),
        inputs=array("l", [row[1] for row in rows]),
        outputs=array("l", [row[2] for row in rows]),
    )


ROWS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 6000), st.integers(1, 40)), min_size=1, max_size=30).map(
    sorted
)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(1, 12), st.integers(4000, 40_000))
def test_the_fast_replica_equals_the_slow_one(rows: list[tuple[float, int, int]], seqs: int, kv: int) -> None:
    profile = Profile(max_num_seqs=seqs, kv_tokens=kv)
    slow = Slow(profile, rows).run()
    waits = sorted(slow.first[index] - row[0] for index, row in enumerate(rows))
    result = simulate(trace(rows), Setup(profile=profile, initial=1), Static(replicas=1))
    assert result.ttft_p99 == pytest.approx(waits[min(int(0.99 * len(waits)), len(waits) - 1)], abs=1e-6)
    assert result.ttft_p50 == pytest.approx(waits[min(int(0.5 * len(waits)), len(waits) - 1)], abs=1e-6)
    speeds = sorted(
        (slow.done[index] - slow.first[index]) / (row[2] - 1) for index, row in enumerate(rows) if row[2] > 1
    )
    if speeds:
        assert result.tpot_p95 == pytest.approx(speeds[min(int(0.95 * len(speeds)), len(speeds) - 1)], abs=1e-6)


def test_one_request_takes_what_the_profile_says() -> None:
    profile = Profile(step_base=0.01, step_per_sequence=0.001, step_per_prefill_token=0.0001, chunk=1000)
    result = simulate(trace([(0.0, 2500, 11)]), Setup(profile=profile, initial=1), Static(replicas=1))
    assert result.ttft_p50 == pytest.approx(3 * 0.011 + 0.25)
    assert result.tpot_p95 == pytest.approx(0.011)


def test_two_replicas_share() -> None:
    rows = [(0.0, 2000, 2)] * 8
    one = simulate(trace(rows), Setup(initial=1), Static(replicas=1))
    two = simulate(trace(rows), Setup(initial=2), Static(replicas=2))
    assert two.ttft_p99 == pytest.approx(one.ttft_p99 / 2, rel=0.05)


def test_late_binding_reaches_new_replicas() -> None:
    """What waits inside an engine cannot move; what waits in the router can."""
    rows = [(0.0, 2000, 2)] * 400 + [(60.0, 1, 1)]
    at_once, late = (
        simulate(trace(rows), Setup(initial=1, startup=15, late_binding=late), Static(replicas=4, every=5))
        for late in (False, True)
    )
    assert late.ttft_p95 < at_once.ttft_p95 * 0.7


def test_a_full_router_refuses() -> None:
    rows = [(0.0, 2000, 2)] * 50
    setup = Setup(profile=Profile(max_num_seqs=8), initial=1, late_binding=True, queue_limit=10)
    result = simulate(trace(rows), setup, Static(replicas=1))
    assert result.refused == 50 - 8 - allowance(8) - 10
    assert result.slo_attainment < 1


def test_who_has_waited_too_long_is_refused_and_takes_nobodys_place() -> None:
    """An answer takes 16 s, one at a time with another in the engine: of two that wait, one gets its turn in time."""
    rows = [(0.0, 1, 1000)] * 2 + [(0.0, 1, 1)] * 2 + [(25.0, 1, 1)] * 2
    setup = Setup(profile=Profile(max_num_seqs=1), initial=1, late_binding=True, queue_limit=2, hold_timeout=20)
    assert simulate(trace(rows), setup, Static(replicas=1)).refused == 1
    asleep = Setup(minimum=0, initial=0, late_binding=True, hold_timeout=20)
    assert simulate(trace([(0.0, 1, 1)] * 3), asleep, Static(replicas=0)).refused == 3


@pytest.mark.parametrize(("kv_tokens", "running"), [(300_000, 128), (60_000, 60)])
def test_an_engine_gets_as_many_as_the_router_would_give_it(kv_tokens: int, running: int) -> None:
    requests = trace([(0.0, 100, 900)] * 300)
    setup = Setup(profile=Profile(kv_tokens=kv_tokens, chunk=1_000_000), late_binding=True)
    fleet = Fleet(requests, setup)
    fleet.create(0.0, ready=True)
    for request in range(300):
        fleet.arrive(request, 0.0)
        if fleet.ready[0].active < running:
            # A step computes whole prompts, and what fits is admitted with the next one.
            fleet.step(fleet.ready[0], 0.0)
    assert fleet.ready[0].active == running
    assert fleet.ready[0].outstanding == running + allowance(running)
