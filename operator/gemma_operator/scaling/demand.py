"""Replicas that the load needs now: mean work, saturation, or requests in flight when work cannot be measured."""

import math
from dataclasses import dataclass

from gemma_operator.scaling import constants as k
from gemma_operator.scaling import cost
from gemma_operator.scaling.observe import fresh_samples, means
from gemma_operator.scaling.types import Bin, Bounds, Observation, Settings, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of the fleet."""

    running: int
    waiting: int
    held: int
    growth: float
    """Of the requests in the system, per second."""
    per_request: float
    """Engine seconds of one request."""
    steady: float
    """Engine seconds per second."""
    arrivals: float
    """Requests per second over the last minute."""
    need: float
    """Replicas, before any filter."""
    lasting: float
    """Of `need`, what stays once the queue is worked off."""
    by_requests: bool
    """The cost model does not fit: `need` counts requests in flight."""
    backlog: float
    """Replicas that work off in time what queues."""
    after_queue: bool
    """The backlog is or was worth a replica within the last minute."""

    @property
    def queued(self) -> int:
        """Requests that do not run."""
        return self.waiting + self.held

    @property
    def queued_work(self) -> float:
        """Engine seconds of the requests that do not run."""
        return self.queued * self.per_request


def recent(bins: tuple[Bin, ...], *, clock: float, window: float) -> list[Bin]:
    """Bins that lie mostly within the last seconds."""
    found = []
    for each in reversed(bins):
        if clock - each.end + each.span / 2 > window:
            break
        found.append(each)
    return found


def measure(state: State, observation: Observation, bounds: Bounds, settings: Settings) -> Load:
    """The load and the replicas that it needs."""
    samples = fresh_samples(observation)
    running = sum(sample.running for sample in samples)
    waiting = sum(sample.waiting for sample in samples)
    held = max(state.held, observation.held_at_least) if observation.held is None else observation.held
    model, batch = state.model, state.batch or float(bounds.max_num_seqs)
    prompt_mean, output_mean = means(state.mix)
    weight = cost.decode_weight(model, batch)
    per_request = model.per_prompt_token * prompt_mean + output_mean * weight
    lately = recent(state.bins, clock=state.clock, window=k.SMOOTHING)
    span = sum(each.span for each in lately)
    prompts = sum(each.prompt for each in lately)
    tokens = min(sum(each.generated for each in lately), sum(each.asked for each in lately))
    work = model.per_prompt_token * prompts + tokens * weight
    steady = work / span if span else 0.0
    minute = recent(state.bins, clock=state.clock, window=k.RATE_WINDOW)
    covered = max(sum(each.span for each in minute), k.DECIDE_EVERY)
    arrivals = sum(each.arrivals for each in minute) / covered
    by_requests = cost.is_poor(model)
    queued = waiting + held
    backlog = queued * per_request / k.DRAIN_TIME
    after_queue = backlog >= 1 or (state.queued_at is not None and state.clock - state.queued_at <= k.RATE_WINDOW)
    root = math.sqrt(settings.v)
    if by_requests:
        in_flight = max(running + waiting, observation.in_flight or 0) + held
        need = in_flight / (batch * k.REQUESTS_PER_BATCH) + (k.CONSTANT * root if in_flight else 0.0)
    else:
        need = _roomy(steady, root)
        if after_queue:
            # Engines also do work that arrived before.
            newest = sum(each.arrivals for each in lately) / span if span else 0.0
            need = min(need, _roomy(max(arrivals, newest) * per_request, root))
    lasting = need
    if not by_requests and queued > k.SATURATED * observation.ready:
        need = max(need, (arrivals * per_request + backlog) / k.SATURATED_USE)
        lasting = max(lasting, arrivals * per_request / k.SATURATED_USE)
    return Load(
        running=running,
        waiting=waiting,
        held=held,
        growth=_growth(minute),
        per_request=per_request,
        steady=steady,
        arrivals=arrivals,
        need=need,
        lasting=lasting,
        by_requests=by_requests,
        backlog=backlog,
        after_queue=after_queue,
    )


def _roomy(work: float, root: float) -> float:
    """Replicas for so much work, with room for what varies."""
    return work * (1 + k.HEADROOM * root) + (k.CONSTANT * root if work else 0.0)


def _growth(minute: list[Bin]) -> float:
    """How fast requests in the system became more over the last minute."""
    span = sum(each.span for each in minute[:-1])
    return (minute[0].present - minute[-1].present) / span if span else 0.0
