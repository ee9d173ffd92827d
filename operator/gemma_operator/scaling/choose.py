"""The number that a load asks for: up by need that lasts, down when peaks are forgotten, never below the floor."""

import math
from dataclasses import dataclass, replace

from gemma_operator.scaling import constants as k
from gemma_operator.scaling import cost, replay
from gemma_operator.scaling.demand import Load
from gemma_operator.scaling.hold import held, hold_time, remember, sustained
from gemma_operator.scaling.observe import is_complete
from gemma_operator.scaling.types import Bounds, Observation, Settings, State


@dataclass(frozen=True, slots=True)
class Choice:
    """Replicas wanted, and words about it."""

    wanted: int
    why: str = ""


def whole(replicas: float) -> int:
    """Rounded up, without a replica for a rounding error."""
    return math.ceil(replicas - 1e-9)


def floor(state: State, bounds: Bounds, settings: Settings, *, current: int | None) -> int:
    """The cheapest number for the recent arrivals; 0 while the cost model has hardly learnt or does not fit.

    As long as a backlog is remembered, it adds nothing to what runs and to the largest need: the backlog has been
    counted, and what a young policy adds for bursts would come on top of it.
    """
    if state.model.measured < k.FLOOR_NEEDS or cost.is_poor(state.model):
        return 0
    lowest = max(bounds.minimum, 1)
    found = replay.floor(state, settings, lowest=lowest, highest=bounds.maximum, chunk=bounds.chunk, current=current)
    if state.queued_at is None or state.clock - state.queued_at > settings.memory:
        return found
    return min(found, max(int(held(state, state.peaks, memory=settings.memory)), current or 0))


def with_need(state: State, bounds: Bounds, settings: Settings, *, load: Load, supplied: int) -> State:
    """The state that remembers one need more: within the dead band it is the present number.

    A backlog is no peak: what it needs goes when it is worked off, while what arrived may come again.
    """
    if not state.peaks:
        # After a start without memory nothing shrinks for as long as a peak is held.
        state = replace(state, peaks=((state.clock, float(supplied)),))
    need, lasting = (_steadied(each, bounds, supplied=supplied) for each in (load.need, load.lasting))
    needs, peaks = remember(state, need, lasting=lasting, memory=settings.memory)
    queued_at = state.clock if load.backlog >= 1 else state.queued_at
    return replace(state, decided=state.clock, needs=needs, peaks=peaks, queued_at=queued_at)


def _steadied(need: float, bounds: Bounds, *, supplied: int) -> float:
    if supplied and abs(need / supplied - 1) <= k.DEAD_BAND:
        need = float(supplied)
    return min(max(need, float(bounds.minimum)), float(bounds.maximum))


def choose(
    observation: Observation, state: State, bounds: Bounds, settings: Settings, load: Load, *, supplied: int
) -> Choice:
    """What the needs remembered and the replay ask for, with `supplied` replicas there or on their way."""
    idle = idle_seconds(observation, state, bounds, load)
    if idle is not None:
        return Choice(0, f"idle for {idle:.0f} s")
    pressed = load.queued_work > k.FAST_BACKLOG * max(observation.ready, 1) or _is_step(load, supplied)
    window = k.UP_WINDOW_FAST if pressed else k.UP_WINDOW
    lowest = floor(state, bounds, settings, current=supplied)
    # While a backlog is worked off the need counts it, and a replay would count it twice.
    replayed = 0 if load.after_queue else lowest
    up = max(whole(sustained(state.needs, clock=state.clock, window=window)), replayed)
    if up > supplied:
        minutes = sum(each.span for each in state.bins) / 60
        return Choice(up, f"the last {minutes:.0f} min need {up}" if replayed == up else "")
    # To zero only after idleBefore0, whatever the hold has forgotten.
    lately = max((need for _, need in state.needs), default=0.0)
    peak = max(held(state, state.peaks, memory=settings.memory), lately)
    down = max(whole(peak), lowest, min(supplied, 1))
    if down >= supplied:
        return Choice(supplied)
    if state.clock < state.quiet_until or not is_complete(observation):
        return Choice(supplied, _gap_words(observation))
    if observation.held and observation.pending:
        return Choice(supplied, "requests are held for replicas that load")
    return Choice(down, f"peaks of the last {hold_time(state, memory=settings.memory) / 60:.0f} min allow it")


def _is_step(load: Load, supplied: int) -> bool:
    """Whether a fleet too small to absorb anything meets a load far above it."""
    return supplied <= k.STEP_FLEET and load.queued > k.STEP_QUEUE * max(supplied, 1) and load.need >= k.STEP * supplied


def idle_seconds(observation: Observation, state: State, bounds: Bounds, load: Load) -> float | None:
    """For how long surely nothing was to be done, when that is long enough to sleep."""
    if bounds.minimum > 0 or state.idle_since is None or is_busy(observation, load):
        return None
    if not is_complete(observation) or state.clock < state.quiet_until:
        return None
    idle = state.clock - state.idle_since
    return idle if idle >= bounds.idle_before_zero else None


def is_busy(observation: Observation, load: Load) -> bool:
    """Whether anything runs, waits, is held or on its way."""
    return load.running + load.queued + (observation.in_flight or 0) > 0


def needed(observation: Observation, bounds: Bounds, load: Load) -> int:
    """Replicas without which what runs or is held would have none."""
    if not is_busy(observation, load):
        return 0
    return max(math.ceil(load.running / max(bounds.max_num_seqs, 1)), 1)


def _gap_words(observation: Observation) -> str:
    if observation.unsampled:
        return f"no fresh metrics from {observation.unsampled} of {observation.ready} ready replicas, none leaves"
    if observation.held is None:
        return "the routers do not answer, none leaves"
    return "metrics had a gap, none leaves for a minute"
