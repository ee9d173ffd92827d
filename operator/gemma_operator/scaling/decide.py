"""From observation to decision: every scrape is taken in, every fifteen seconds a number is chosen.

The policy measures demand in seconds of engine work, replays the last half hour of arrivals against every number of
replicas and takes the cheapest; a steady need, filtered on the way up and held on the way down, and a term for
saturation stand beside it. docs/scaling.md explains each rule.
"""

import math
from dataclasses import dataclass, replace

from gemma_operator.scaling import constants as k
from gemma_operator.scaling import cost, health
from gemma_operator.scaling.bounds import clip
from gemma_operator.scaling.choose import choose, floor, needed, whole, with_need
from gemma_operator.scaling.demand import Load, measure
from gemma_operator.scaling.hold import remember, startup
from gemma_operator.scaling.observe import has_data, take_in
from gemma_operator.scaling.reason import line
from gemma_operator.scaling.types import Bounds, Decision, Kind, Observation, Settings, State


def decide(observation: Observation, state: State, bounds: Bounds, settings: Settings) -> tuple[Decision, State]:
    """Take one observation in and decide, if it is time to.

    Call it at every scrape. The same arguments give the same result. Between two decisions the kind is `notDue`.
    """
    state = take_in(state, observation, bounds, memory=settings.memory)
    pods = _Pods(stuck=health.stuck(state, observation, bounds), hung=health.hung(state, observation))
    if bounds.fixed is not None:
        return _fixed(observation, bounds, pods), _decided(state)
    if not has_data(observation):
        return _no_data(observation, bounds, pods), state
    wake = observation.current == 0 and bool(observation.held or observation.held_at_least)
    if not wake and not _due(state):
        return _not_due(observation, pods), state
    state = replace(state, model=cost.solve(state.model))
    load = measure(state, observation, bounds, settings)
    if wake:
        return _wake(observation, state, bounds, settings, load, pods)
    return _choose(observation, state, bounds, settings, load, pods)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pods:
    """Pods that need attention."""

    stuck: tuple[str, ...]
    hung: tuple[str, ...]


def _due(state: State) -> bool:
    return state.decided is None or state.clock - state.decided >= k.DECIDE_EVERY - 0.5


def _decided(state: State) -> State:
    return replace(state, decided=state.clock) if _due(state) else state


def _fixed(observation: Observation, bounds: Bounds, pods: _Pods) -> Decision:
    fixed = bounds.fixed or 0
    return Decision(
        at=observation.at,
        before=observation.current,
        after=fixed,
        kind=Kind.FIXED,
        reason=f"{fixed} fixed by spec.replicas; remove it to let the operator scale",
        stuck=pods.stuck,
        hung=pods.hung,
    )


def _no_data(observation: Observation, bounds: Bounds, pods: _Pods) -> Decision:
    """No data: hold, but keep what a person or a budget demands."""
    after, capped = clip(observation.current, bounds, needed=0, current=observation.current)
    what = "no fresh metrics from any ready replica" if observation.ready else "the routers do not answer"
    head = f"{observation.current} stay" if after == observation.current else f"{observation.current} → {after}"
    return Decision(
        at=observation.at,
        before=observation.current,
        after=after,
        kind=Kind.NO_DATA,
        reason=f"{head}: {what} ({observation.ready} ready, {observation.unsampled} not read)",
        capped_by=capped,
        stuck=pods.stuck,
        hung=pods.hung,
    )


def _not_due(observation: Observation, pods: _Pods) -> Decision:
    return Decision(
        at=observation.at,
        before=observation.current,
        after=observation.current,
        kind=Kind.NOT_DUE,
        reason="",
        stuck=pods.stuck,
        hung=pods.hung,
    )


def _wake(
    observation: Observation, state: State, bounds: Bounds, settings: Settings, load: Load, pods: _Pods
) -> tuple[Decision, State]:
    """From zero, as many as the held requests and the recent past need, at once."""
    batch = state.batch or float(bounds.max_num_seqs)
    wanted = max(1, math.ceil(load.held / batch), whole(load.need), floor(state, bounds, settings, current=None))
    after, capped = clip(wanted, bounds, needed=1, current=0)
    needs, peaks = remember(state, float(wanted), lasting=load.lasting, memory=settings.memory)
    state = replace(state, decided=state.clock, needs=needs, peaks=peaks)
    return _told(observation, state, bounds, load, pods, after=after, wanted=wanted, capped=capped, why=""), state


def _choose(
    observation: Observation, state: State, bounds: Bounds, settings: Settings, load: Load, pods: _Pods
) -> tuple[Decision, State]:
    """One of the decisions every fifteen seconds. A stuck pod is no supply: one more is asked for in its place.

    One at most, since its start may fail for the same reason; and none where those that serve are enough.
    """
    serve = min(observation.ready, observation.current)
    lost = min(len(pods.stuck), 1, observation.current - serve)
    supplied = observation.current - lost
    state = with_need(state, bounds, settings, load=load, supplied=supplied)
    choice = choose(observation, state, bounds, settings, load, supplied=supplied)
    least = needed(observation, bounds, load)
    wanted, why = choice.wanted, choice.why
    if lost and (wanted or least):
        wanted += lost
        why = "; ".join(part for part in (why, f"stuck in start-up: {_some(pods.stuck)}") if part)
    after, capped = clip(wanted, bounds, needed=least, current=observation.current)
    return _told(observation, state, bounds, load, pods, after=after, wanted=wanted, capped=capped, why=why), state


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _kind(before: int, after: int) -> Kind:
    if after == before:
        return Kind.HOLD
    if before == 0:
        return Kind.WAKE
    if after == 0:
        return Kind.SLEEP
    return Kind.UP if after > before else Kind.DOWN


def _told(
    observation: Observation,
    state: State,
    bounds: Bounds,
    load: Load,
    pods: _Pods,
    *,
    after: int,
    wanted: int,
    capped: str,
    why: str,
) -> Decision:
    kind = _kind(observation.current, after)
    return Decision(
        at=observation.at,
        before=observation.current,
        after=after,
        kind=kind,
        reason=line(state, observation, bounds, load, kind=kind, after=after, wanted=wanted, capped_by=capped, why=why),
        inputs={
            "running": load.running,
            "waiting": load.waiting,
            "held": load.held,
            "growth": round(load.growth, 2),
            "arrivals": round(load.arrivals, 2),
            "need": round(load.need, 2),
            "wanted": wanted,
            "ready": observation.ready,
            "pending": len(observation.pending),
            "startup": round(startup(state)),
            "misfit": round(cost.misfit(state.model), 2),
        },
        capped_by=capped,
        stuck=pods.stuck,
        hung=pods.hung,
    )
