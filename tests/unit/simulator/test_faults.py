"""What goes wrong in the course of a day, under our policy."""

import random
from array import array
from dataclasses import replace
from itertools import pairwise

import pytest
from gemma_operator.scaling import Settings
from gemma_operator.simulator.gemma import gemma_of
from gemma_operator.simulator.peers.hpa import Hpa, running_and_waiting
from gemma_operator.simulator.policies import make_policy
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.types import Fault, Profile, Result, Setup, Trace

SMALL = Profile(max_num_seqs=16, kv_tokens=60_000)


def steps(*parts: tuple[float, float]) -> Trace:
    """Seconds and requests per second, one after the other."""
    chance = random.Random(5)
    rows: list[tuple[float, int, int]] = []
    start = 0.0
    for seconds, rate in parts:
        at = start
        while rate:
            at += chance.expovariate(rate)
            if at >= start + seconds:
                break
            rows.append((at, chance.randint(50, 1500), chance.randint(20, 200)))
        start += seconds
    return Trace(
        name="steps",
        arrivals=array("d", [row[0] for row in rows]),
        inputs=array("l", [row[1] for row in rows]),
        outputs=array("l", [row[2] for row in rows]),
    )


def run(trace: Trace, *faults: Fault, forget_at: float | None = None, **more: object) -> Result:
    setup = Setup(profile=SMALL, startup=60, faults=faults, **more)  # type: ignore[arg-type]  # fields by name, in tests
    return simulate(trace, setup, replace(gemma_of(setup, Settings()), forget_at=forget_at))


CALM_BUSY_CALM = steps((600, 2), (600, 12), (1500, 1))


def test_grows_and_shrinks_without_interrupting() -> None:
    result = run(CALM_BUSY_CALM)
    assert result.max_replicas >= 3
    assert result.interrupted == result.refused == 0
    sizes = [point.replicas for point in result.timeline]
    assert sizes[-1] < max(sizes)
    assert len(result.reasons) == result.scale_changes


@pytest.mark.parametrize("at", [600, 1150, 2200])
def test_no_scale_down_while_metrics_are_missing(at: float) -> None:
    result = run(CALM_BUSY_CALM, Fault(kind="gap", at=at, seconds=240))
    assert result.down_in_gap == 0
    assert result.interrupted == 0


def test_a_replica_that_never_starts_is_replaced() -> None:
    whole, broken = run(CALM_BUSY_CALM), run(CALM_BUSY_CALM, Fault(kind="stuck", at=10))
    assert broken.slo_attainment > whole.slo_attainment - 0.3
    assert broken.max_replicas >= whole.max_replicas
    assert any("stuck in start-up" in reason for reason in broken.reasons)


def test_a_hung_replica_loses_only_what_it_held() -> None:
    result = run(CALM_BUSY_CALM, Fault(kind="hung", at=900, seconds=120))
    assert 0 < result.interrupted < 200


def test_a_restart_without_memory_does_not_shrink_at_once() -> None:
    result = run(CALM_BUSY_CALM, forget_at=1300)
    sizes = [(point.at, point.replicas) for point in result.timeline if 1290 <= point.at <= 1300 + 600]
    assert all(after >= before for (_, before), (_, after) in pairwise(sizes))


def test_from_zero_as_many_as_needed_at_once() -> None:
    """A burst on a sleeping deployment pays one start-up, not one for each replica."""
    trace = steps((60, 3), (1500, 0), (300, 8))
    result = run(trace, minimum=0, idle_before_zero=300.0)
    assert min(point.replicas for point in result.timeline) == 0
    wake = next(reason for reason in result.reasons if " 0 → " in reason)
    assert "held" in wake
    assert result.refused == 0
    assert sum(1 for point in result.timeline if point.at > 1560) > 0


@pytest.mark.parametrize("policy", ["gemma", "hpa-waiting"])
@pytest.mark.parametrize("late_binding", [False, True])
def test_the_last_requests_wake_a_sleeping_deployment(policy: str, late_binding: bool) -> None:
    """Nothing arrives while the replica starts; the policy is asked on."""
    setup = Setup(profile=SMALL, startup=60, minimum=0, initial=0, hold_timeout=600.0, late_binding=late_binding)
    at = array("d", [0.0, 0.5, 1.0])
    trace = Trace(name="last", arrivals=at, inputs=array("l", [100] * 3), outputs=array("l", [20] * 3))
    result = simulate(trace, setup, make_policy(policy, setup, Settings()))
    assert result.refused == 0
    assert 60 * 0.9 < result.ttft_p99 < 60 * 1.1 + 30


def test_who_is_never_woken_ends() -> None:
    """A router that holds for ever in front of what never starts: the run ends, and nobody was in time."""
    setup = Setup(minimum=0, initial=0)
    one = Trace(name="one", arrivals=array("d", [0.0]), inputs=array("l", [9]), outputs=array("l", [9]))
    result = simulate(one, setup, make_policy("wva", setup, Settings()))
    assert (result.max_replicas, result.slo_attainment) == (0, 0)


def test_a_drain_that_takes_longer_than_its_timeout_interrupts() -> None:
    """Ours waits for `drain_timeout`, no longer: that nothing is interrupted is counted, not assumed."""
    calm = steps((300, 8), (2400, 0.2))
    answers = array("l", [4000] * len(calm))
    long = Trace(name="long", arrivals=calm.arrivals, inputs=calm.inputs, outputs=answers)
    profile = Profile(max_num_seqs=64, kv_tokens=400_000, step_base=0.08)
    patient = Setup(profile=profile, startup=60, initial=6, drain_timeout=900.0)
    hasty = replace(patient, drain_timeout=5.0)
    asked, cut = (simulate(long, each, make_policy("gemma", each, Settings())) for each in (patient, hasty))
    assert asked.interrupted == 0
    assert cut.interrupted > 0
    assert cut.slo_attainment < asked.slo_attainment


def test_supply_and_budget_stop_growth() -> None:
    for more in ({"supply": 2}, {"affordable": 2}, {"maximum": 2}):
        assert run(CALM_BUSY_CALM, **more).max_replicas == 2


def test_peers_that_are_killed_after_a_grace_interrupt() -> None:
    """The count of interrupted requests is not always zero: a short grace and long answers give some."""
    setup = Setup(profile=SMALL, startup=60)
    trace = steps((300, 12), (900, 1))
    long = Trace(
        name="long",
        arrivals=trace.arrivals,
        inputs=trace.inputs,
        outputs=array("l", [min(o * 20, 3000) for o in trace.outputs]),
    )
    peer = Hpa(name="x", signal=running_and_waiting, target=4, down_window=15, grace=5)
    assert simulate(long, setup, peer).interrupted > 0


def test_the_same_arguments_give_the_same_result() -> None:
    trace = steps((300, 5), (300, 15))
    setup = Setup(profile=SMALL, startup=60, seed=9)
    one, two = (simulate(trace, setup, make_policy("gemma", setup, Settings())) for _ in range(2))
    assert one == two
