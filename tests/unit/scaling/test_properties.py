"""What always holds, whatever is observed."""

import json

import pytest
from gemma_operator.scaling import (
    Bounds,
    Kind,
    Observation,
    PendingPod,
    PodSample,
    Settings,
    State,
    decide,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scaling.engines import START, World

pytestmark = pytest.mark.timeout(600)
"""Hours of a fleet in each example: a busy machine takes its time."""
COUNT = st.integers(0, 10**9)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """Anything that could be read, whether it makes sense or not."""
    at = START + draw(st.floats(0, 20_000))
    ready = draw(st.integers(0, 5))
    samples = tuple(
        PodSample(
            pod=f"pod-{index}",
            at=at - draw(st.floats(0, 60)),
            running=draw(st.integers(0, 300)),
            waiting=draw(st.integers(0, 5000)),
            kv_usage=draw(st.floats(0, 1)),
            completions=draw(COUNT),
            generation_tokens=draw(COUNT),
            prompt_tokens=draw(COUNT),
            steps=draw(COUNT),
        )
        for index in range(draw(st.integers(0, ready)))
    )
    return Observation(
        at=at,
        samples=samples,
        ready=ready,
        pending=tuple(PendingPod(f"new-{n}", draw(st.floats(0, 5000))) for n in range(draw(st.integers(0, 3)))),
        current=draw(st.integers(0, 12)),
        held=draw(st.none() | st.integers(0, 2000)),
        in_flight=draw(st.none() | st.integers(0, 2000)),
        startups=tuple(draw(st.lists(st.floats(0, 3000), max_size=2))),
        unsampled=ready - len(samples),
    )


@st.composite
def some_bounds(draw: st.DrawFn) -> Bounds:
    minimum = draw(st.integers(0, 4))
    return Bounds(
        minimum=minimum,
        maximum=draw(st.integers(max(minimum, 1), 30)),
        supply=draw(st.none() | st.integers(0, 30)),
        affordable=draw(st.none() | st.integers(0, 30)),
        idle_before_zero=draw(st.floats(0, 600)),
        max_num_seqs=draw(st.integers(1, 256)),
        chunk=draw(st.integers(32, 8192)),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(observations(), min_size=1, max_size=8), some_bounds())
def test_anything_gives_a_decision_within_the_bounds(seen: list[Observation], bounds: Bounds) -> None:
    state = State()
    for each in seen:
        decision, after = decide(each, state, bounds, Settings())
        again, _ = decide(each, state, bounds, Settings())
        assert again == decision
        if decision.kind not in (Kind.NOT_DUE, Kind.NO_DATA):
            assert decision.after <= bounds.maximum
            assert bounds.affordable is None or decision.after <= bounds.affordable
            assert bounds.supply is None or decision.after <= max(bounds.supply, each.current)
            caps = [x for x in (bounds.affordable, bounds.supply) if x is not None]
            assert decision.after >= min([bounds.minimum, *caps])
        assert decision.reason or decision.kind is Kind.NOT_DUE
        assert "\n" not in decision.reason
        json.dumps(dict(decision.inputs))
        state = after


@settings(max_examples=60, deadline=None)
@given(st.lists(observations(), min_size=1, max_size=8))
def test_never_down_on_missing_data(seen: list[Observation]) -> None:
    bounds = Bounds(minimum=0, maximum=30, idle_before_zero=0)
    state = State()
    for each in seen:
        decision, state = decide(each, state, bounds, Settings())
        blind = each.unsampled or each.held is None or any(each.at - s.at > 30 for s in each.samples)
        if blind and each.current <= bounds.maximum:
            assert decision.after >= each.current


@settings(max_examples=60, deadline=None)
@given(st.lists(observations(), min_size=1, max_size=8))
def test_zero_only_when_nothing_is_to_be_done(seen: list[Observation]) -> None:
    bounds = Bounds(minimum=0, maximum=30, idle_before_zero=0)
    state = State()
    for each in seen:
        decision, state = decide(each, state, bounds, Settings())
        busy = each.held or each.in_flight or any(s.running or s.waiting for s in each.samples)
        if busy and each.current:
            assert decision.after >= 1
        if each.held and not each.current and decision.kind is not Kind.NO_DATA:
            assert decision.after >= 1


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 20), st.floats(1.05, 4))
def test_more_load_never_means_fewer_replicas(rate: float, factor: float) -> None:
    less, more = (World(replicas=1).run(1800, rate=each).replicas for each in (rate, rate * factor))
    assert more >= less


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.floats(0.1, 3))
def test_a_restart_without_memory_shrinks_nothing_for_a_hold(replicas: int, rate: float) -> None:
    world = World(replicas=replicas).run(600, rate=rate)
    assert min(decision.after for decision in world.decisions) >= replicas


@pytest.mark.parametrize("pods", [1, 30])
def test_the_state_stays_small(pods: int) -> None:
    world = World(replicas=pods, bounds=Bounds(minimum=pods, maximum=60), follow=False).run(2100, rate=3.0 * pods)
    assert len(world.state.bins) <= 361


def test_preferences_are_ordered() -> None:
    found = [
        World(replicas=1, settings=Settings(preference=preference))
        .run(1500, rate=lambda at: 20 + at % 300 / 10)
        .replicas
        for preference in ("economy", "balanced", "latency")
    ]
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_a_poor_fit_falls_back_to_requests_in_flight_and_says_so() -> None:
    world = World(replicas=1, bounds=Bounds(maximum=40, max_num_seqs=32), follow=False)
    for tick in range(400):
        world.now += 5
        engine = world.engines[0]
        engine.running, engine.waiting = 30, 40
        # Work that no model of steps and tokens explains.
        factor = 1 if tick % 2 else 40
        engine.steps += 5 * factor
        engine.generated += 100 * factor
        engine.completions += 2
        decision = world.step()
    last = next(each for each in reversed(world.decisions) if each.kind is not Kind.NOT_DUE)
    assert float(last.inputs["misfit"]) > 0.3
    assert "sized by requests in flight: engine time does not follow the cost model" in last.reason
    assert 7 <= last.after < 12, decision.reason
