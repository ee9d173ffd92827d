"""Filters between a need and a number: only sustained need adds replicas, and peaks are forgotten slowly."""

import math

from gemma_operator.scaling import constants as k
from gemma_operator.scaling.types import State

Points = tuple[tuple[float, float], ...]


def startup(state: State) -> float:
    """Seconds that a new replica is expected to take."""
    return k.STARTUP_ASSUMED if state.startup is None else state.startup


def hold_time(state: State, *, memory: float) -> float:
    """Seconds for which a peak counts in full, and then the time constant of its decay."""
    return k.HOLD_SHARE * memory + k.HOLD_PER_STARTUP * startup(state)


def remember(state: State, need: float, *, lasting: float, memory: float) -> tuple[Points, Points]:
    """`needs` with one more, `peaks` with what of it lasts. A peak that a later one reaches can never count again."""
    now = state.clock
    needs = (*(point for point in state.needs if now - point[0] <= k.UP_WINDOW), (now, need))
    oldest = now - hold_time(state, memory=memory) * (1 + k.HOLD_FORGETS_AFTER)
    peaks = (*(point for point in state.peaks if point[1] > lasting and point[0] >= oldest), (now, lasting))
    return needs, peaks


def sustained(needs: Points, *, clock: float, window: float) -> float:
    """The smallest need of the window, of at least two decisions; 0 while there are fewer."""
    if len(needs) < 2:
        return 0.0
    inside = [need for at, need in needs if clock - at <= window]
    return min(inside if len(inside) >= 2 else [need for _, need in needs[-2:]])


def held(state: State, peaks: Points, *, memory: float) -> float:
    """The largest need remembered: in full for a while, then leaking."""
    full = hold_time(state, memory=memory)
    most = 0.0
    for at, need in peaks:
        age = state.clock - at
        most = max(most, need if age <= full else need * math.exp(-(age - full) / full))
    return most
