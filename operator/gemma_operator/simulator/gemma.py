"""The operator's own policy in the simulator: the same `decide`, with the same inputs."""

from dataclasses import dataclass, field

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
from gemma_operator.simulator.scaler import View
from gemma_operator.simulator.types import Setup


@dataclass(slots=True, kw_only=True)
class Gemma:
    """Work replay, observed every five seconds."""

    bounds: Bounds
    grace: float
    settings: Settings = field(default_factory=Settings)
    name: str = "gemma"
    every: float = 5.0
    delay: float = 0.0
    fewest_first: bool = True
    forget_at: float | None = None
    """When the controller restarts without its memory."""
    state: State = field(default_factory=State)
    reasons: list[str] = field(default_factory=list)

    def decide(self, view: View) -> int:
        """One tick of the operator."""
        if self.forget_at is not None and view.now >= self.forget_at:
            self.forget_at, self.state = None, State()
        decision, self.state = decide(observation_of(view), self.state, self.bounds, self.settings)
        if decision.kind not in (Kind.HOLD, Kind.NOT_DUE, Kind.NO_DATA):
            self.reasons.append(f"{view.now:.0f} s: {decision.reason}")
        return decision.after


def observation_of(view: View) -> Observation:
    """The fleet as the operator's scrape sees it."""
    samples = tuple(
        PodSample(
            pod=pod.name,
            at=view.now,
            running=pod.running,
            waiting=pod.waiting,
            kv_usage=pod.kv_usage,
            completions=pod.completions,
            generation_tokens=pod.generated,
            prompt_tokens=pod.prompt,
            steps=pod.steps,
            ready_at=pod.ready_at,
        )
        for pod in view.pods
    )
    return Observation(
        at=view.now,
        samples=samples,
        ready=view.ready,
        pending=tuple(PendingPod(name, age) for name, age in view.pending),
        current=view.current,
        held=None if view.gap else view.held,
        in_flight=None if view.gap else view.in_flight,
        startups=view.startups,
        unsampled=view.ready if view.gap else 0,
    )


def gemma_of(setup: Setup, settings: Settings) -> Gemma:
    """Our policy for a simulated deployment."""
    return Gemma(bounds=bounds_of(setup), grace=setup.drain_timeout, settings=settings)


def bounds_of(setup: Setup) -> Bounds:
    """The bounds of a simulated deployment."""
    return Bounds(
        minimum=setup.minimum,
        maximum=setup.maximum,
        supply=setup.supply,
        affordable=setup.affordable,
        idle_before_zero=setup.idle_before_zero,
        max_num_seqs=setup.profile.max_num_seqs,
        chunk=setup.profile.chunk,
    )
