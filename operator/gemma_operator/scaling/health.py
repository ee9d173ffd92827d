"""Pods that are no supply, and the pod that should leave first."""

from collections.abc import Iterable

from gemma_operator.scaling import constants as k
from gemma_operator.scaling.hold import startup
from gemma_operator.scaling.observe import fresh_samples
from gemma_operator.scaling.types import Bounds, Candidate, Observation, State


def stuck(state: State, observation: Observation, bounds: Bounds) -> tuple[str, ...]:
    """Pods that have been loading for more than twice the usual time."""
    limit = k.STUCK_STARTUPS * startup(state) + k.STUCK_GRACE
    if state.startup is None:
        limit = max(limit, bounds.longest_start)
    return tuple(sorted(pod.pod for pod in observation.pending if pod.age > limit))


def hung(state: State, observation: Observation) -> tuple[str, ...]:
    """Pods with work whose counters stood still for a minute of fresh samples."""
    found = []
    for sample in fresh_samples(observation):
        seen = state.pods.get(sample.pod)
        if seen is not None and sample.running + sample.waiting > 0 and seen.seen - seen.moved >= k.HUNG_AFTER:
            found.append(sample.pod)
    return tuple(sorted(found))


def victim(candidates: Iterable[Candidate]) -> str | None:
    """The pod that loses least by leaving: one that still loads (the newest), else the one with fewest in flight."""

    def loss(each: Candidate) -> tuple[bool, float, float, str]:
        return (not each.loading, each.age if each.loading else each.in_flight, each.age, each.pod)

    best = min(candidates, key=loss, default=None)
    return None if best is None else best.pod
