"""The floor is the cheapest number of replicas, found without looking at all of them."""

from dataclasses import replace

from gemma_operator.scaling import Settings, State, replay
from gemma_operator.scaling.types import Bin
from hypothesis import given, settings
from hypothesis import strategies as st

BINS = st.lists(
    st.tuples(st.floats(0, 80), st.floats(1, 6000), st.floats(1, 600), st.floats(4, 20)), min_size=1, max_size=60
)


def state_of(rows: list[tuple[float, float, float, float]]) -> State:
    bins = []
    clock = 0.0
    for arrivals, prompt, output, span in rows:
        clock += span
        bins.append(
            Bin(
                end=clock,
                span=span,
                arrivals=arrivals,
                prompt=arrivals * prompt,
                generated=arrivals * output,
                asked=arrivals * output,
                batch=64.0,
                prompt_mean=prompt,
                running=32.0,
                present=0,
            )
        )
    return State(clock=clock, bins=tuple(bins))


@settings(max_examples=60, deadline=None)
@given(BINS, st.integers(1, 4), st.integers(4, 40), st.floats(0.3, 4))
def test_the_floor_is_the_cheapest(
    rows: list[tuple[float, float, float, float]], lowest: int, highest: int, strictness: float
) -> None:
    state, chosen = state_of(rows), Settings(strictness=strictness)
    found = replay.floor(state, chosen, lowest=lowest, highest=highest, chunk=2048)
    if sum(row[0] for row in rows) <= 50:
        assert found == 0
        return
    prepared = replay._prepare(state, chosen, chunk=2048)
    costs = {}
    for replicas in range(lowest, highest + 1):
        late = replay._late(prepared.rows, replicas, enough=float("inf"))
        costs[replicas] = replicas * prepared.span + prepared.price * late
        if late < 0.5:
            break
    assert found == min(costs, key=lambda replicas: (costs[replicas], replicas))


def test_a_burst_raises_the_floor_and_a_higher_price_raises_it_more() -> None:
    calm = [(2.0, 1000.0, 200.0, 5.0)] * 100
    burst = [*calm[:50], (200.0, 1000.0, 200.0, 5.0), (200.0, 1000.0, 200.0, 5.0), *calm[50:]]
    floors = [
        replay.floor(replace(state_of(rows)), Settings(strictness=v), lowest=1, highest=60, chunk=2048)
        for rows, v in ((calm, 4.0), (burst, 4.0), (burst, 30.0))
    ]
    assert floors == sorted(floors)
    assert floors[0] < floors[1] < floors[2]
