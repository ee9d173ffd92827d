"""The line that says why: "3 → 5: 41 running, 18 waiting, grew 0.6/s; 2 loading; start-up 180 s"."""

from gemma_operator.scaling.demand import Load
from gemma_operator.scaling.hold import startup
from gemma_operator.scaling.types import Bounds, Kind, Observation, State

_CAPS = {
    "max": "scaling.max is {maximum}",
    "maxCostPerHour": "maxCostPerHour pays for {affordable}",
    "supply": "GPUs allow {supply}",
}


def load_words(load: Load) -> str:
    """What runs, waits and is held, and how it moves."""
    words = f"{load.running} running, {load.waiting} waiting"
    if load.held:
        words += f", {load.held} held"
    if abs(load.growth) >= 0.05 and load.running + load.queued:
        words += f", {'grew' if load.growth > 0 else 'fell'} {abs(load.growth):.1f}/s"
    return words


def line(
    state: State,
    observation: Observation,
    bounds: Bounds,
    load: Load,
    *,
    kind: Kind,
    after: int,
    wanted: int,
    capped_by: str,
    why: str,
) -> str:
    """One line about a decision."""
    before = observation.current
    parts = [load_words(load)]
    if observation.pending:
        parts.append(f"{len(observation.pending)} loading")
    if kind in (Kind.UP, Kind.WAKE):
        parts.append(f"start-up {startup(state):.0f} s" + (" assumed" if state.startup is None else ""))
    if why:
        parts.append(why)
    if load.by_requests:
        parts.append("sized by requests in flight: engine time does not follow the cost model")
    if capped_by:
        limit = _CAPS[capped_by].format(maximum=bounds.maximum, affordable=bounds.affordable, supply=bounds.supply)
        parts.append(f"wants {wanted}, {limit}")
    head = f"{before} → {after}" if after != before else f"{before} stay{'s' if before == 1 else ''}"
    return f"{head}: {'; '.join(parts)}"
