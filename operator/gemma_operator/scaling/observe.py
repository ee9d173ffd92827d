"""Taking an observation in: arrivals by conservation, the request mix, the cost model, gaps, start-up times."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gemma_operator.scaling import constants as k
from gemma_operator.scaling import cost
from gemma_operator.scaling.types import Bin, Bounds, Counters, Mix, Observation, PodSample, State


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What the counters of one pod say since its last sample."""

    arrivals: float
    prompt: float
    waiting_more: int
    completions: int
    running_more: int
    generated: float
    seconds: float


def fresh_samples(observation: Observation) -> tuple[PodSample, ...]:
    """Those young enough to count."""
    return tuple(sample for sample in observation.samples if observation.at - sample.at <= k.STALE)


def has_data(observation: Observation) -> bool:
    """Whether anything was read: a fresh sample, certainty that there is no pod to read, or a request that waits."""
    if observation.ready == 0:
        return bool(fresh_samples(observation)) or observation.held is not None or observation.held_at_least > 0
    return bool(fresh_samples(observation))


def is_complete(observation: Observation) -> bool:
    """Whether every ready pod and the routers were read."""
    return (
        observation.held is not None
        and observation.unsampled == 0
        and len(fresh_samples(observation)) >= observation.ready
    )


def take_in(state: State, observation: Observation, bounds: Bounds, *, memory: float = k.MEMORY) -> State:
    """The state after an observation. Without data only the start-up times are learnt."""
    state = replace(state, startup=_startup(state.startup, observation.startups))
    if not has_data(observation):
        return replace(state, idle_since=None)
    if state.at is None:
        return _first(state, observation, bounds)
    elapsed = observation.at - state.at
    if 0 <= elapsed < k.SHORTEST_BIN:
        return _idle(state, observation, worked=False)
    jumped = elapsed < 0 or elapsed > k.LONGEST_STEP
    span = min(elapsed, k.LONGEST_STEP) if elapsed > 0 else k.SHORTEST_BIN
    clock = state.clock + span
    incomplete = not is_complete(observation)
    quiet = clock + k.QUIET_AFTER_GAP if elapsed > k.STALE or elapsed < 0 or incomplete else state.quiet_until
    state = replace(state, at=observation.at, clock=clock, quiet_until=quiet)
    passed = span if elapsed <= 0 else elapsed
    return _count(state, observation, bounds, span=span, elapsed=passed, jumped=jumped, memory=memory)


def _startup(estimate: float | None, seen: tuple[float, ...]) -> float | None:
    """Rises at once, falls slowly."""
    for sample in seen:
        if math.isfinite(sample) and sample >= 0:
            estimate = sample if estimate is None else max(sample, 0.8 * estimate + 0.2 * sample)
    return estimate


def _counters(sample: PodSample, *, moved: float, seen: float) -> Counters:
    return Counters(
        at=sample.at,
        running=sample.running,
        waiting=sample.waiting,
        completions=sample.completions,
        generation_tokens=sample.generation_tokens,
        prompt_tokens=sample.prompt_tokens,
        steps=sample.steps,
        moved=moved,
        seen=seen,
    )


def _first(state: State, observation: Observation, bounds: Bounds) -> State:
    """A baseline: what engines counted before is nobody's arrival."""
    pods = {s.pod: _counters(s, moved=state.clock, seen=state.clock) for s in fresh_samples(observation)}
    state = replace(state, at=observation.at, pods=pods, held=observation.held or 0)
    state = replace(state, batch=_batch(state, observation, bounds, before={}))
    return _idle(state, observation, worked=False)


def _batch(state: State, observation: Observation, bounds: Bounds, *, before: Mapping[str, Counters]) -> float:
    """Sequences that one replica can run at once: what is allowed, what the KV cache holds, or what it was seen to."""
    samples = fresh_samples(observation)
    running = sum(sample.running for sample in samples)
    used = sum(sample.kv_usage for sample in samples)
    most = float(max(bounds.max_num_seqs, 1))
    held = min(state.held, observation.held or 0) > 0
    full = [
        limit for sample in samples if (limit := _limit(sample, before.get(sample.pod), chunk=bounds.chunk, held=held))
    ]
    if full:
        return min(most, sum(full) / len(full))
    if used > 0.5 and running > 5:
        return max(1.0, min(most, running / used))
    seen = max((sample.running for sample in samples), default=0)
    return most if state.batch is None else max(1.0, min(most, max(state.batch, float(seen))))


def _limit(sample: PodSample, before: Counters | None, *, chunk: int, held: bool) -> int | None:
    """Sequences of an engine that runs all it can: requests wait though its steps have room for their prompts.

    `held`: routers keep requests back, so that few of them wait in engines.
    """
    if before is None or sample.at == before.at:
        return None
    steps, prompt = sample.steps - before.steps, sample.prompt_tokens - before.prompt_tokens
    running = max(sample.running, before.running)
    # One that came in the middle of a step waits for its end: that is no queue.
    least = 0.0 if held else max(k.WAITING_LEAST, k.WAITING_SHARE * running)
    waited = min(sample.waiting, before.waiting) > least
    if not waited or steps <= 0 or prompt < 0 or prompt > k.PROMPT_ROOM * chunk * steps:
        return None
    return running or None


def _count(
    state: State, observation: Observation, bounds: Bounds, *, span: float, elapsed: float, jumped: bool, memory: float
) -> State:
    samples = fresh_samples(observation)
    known, model, pods = state.pods, state.model, dict(state.pods)
    works: list[_Work] = []
    for sample in samples:
        before = pods.get(sample.pod)
        if before is not None and sample.at == before.at:
            continue
        work = _work(sample, before, observation, state=state, span=span, elapsed=elapsed, jumped=jumped)
        if before is not None and not jumped and cost.is_busy(before, sample):
            model = cost.learn(
                model,
                sample.at - before.at,
                steps=sample.steps - before.steps,
                generated=sample.generation_tokens - before.generation_tokens,
                prompt=sample.prompt_tokens - before.prompt_tokens,
            )
        works.append(work)
        pods[sample.pod] = _counters(sample, moved=_moved(sample, before, state.clock), seen=state.clock)
    pods = {name: seen for name, seen in pods.items() if state.clock - seen.seen <= memory}
    held = state.held if observation.held is None else observation.held
    state = replace(state, pods=pods, model=model)
    state = replace(state, batch=_batch(state, observation, bounds, before=known))
    state, arrived, completed = _binned(
        state, observation, works, span=span, elapsed=elapsed, held_more=held - state.held, memory=memory
    )
    return _idle(replace(state, held=held), observation, worked=arrived > 0 or completed > 0)


def _moved(sample: PodSample, before: Counters | None, clock: float) -> float:
    """When the pod last had no work or did some."""
    if before is None or sample.running + sample.waiting == 0:
        return clock
    same = (
        sample.completions == before.completions
        and sample.generation_tokens == before.generation_tokens
        and sample.prompt_tokens == before.prompt_tokens
        and sample.steps == before.steps
    )
    return before.moved if same else clock


def _work(
    sample: PodSample,
    before: Counters | None,
    observation: Observation,
    *,
    state: State,
    span: float,
    elapsed: float,
    jumped: bool,
) -> _Work:
    """What one pod did. A pod that is new, or whose counters were reset, counts from zero over this bin."""
    reset = before is not None and (
        sample.completions < before.completions or sample.generation_tokens < before.generation_tokens
    )
    seconds = span
    if before is None and sample.ready_at is not None and observation.at - sample.ready_at > elapsed + k.STALE:
        # Ready for long, read for the first time: its counters are a baseline.
        before = _counters(sample, moved=0, seen=0)
    if before is None or reset:
        before = Counters(0.0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
    elif not jumped:
        seconds = max(sample.at - before.at, span)
    completions = sample.completions - before.completions
    running_more = sample.running - before.running
    waiting_more = sample.waiting - before.waiting
    return _Work(
        arrivals=completions + running_more + waiting_more,
        prompt=max(sample.prompt_tokens - before.prompt_tokens, 0),
        waiting_more=waiting_more,
        completions=completions,
        running_more=running_more,
        generated=sample.generation_tokens - before.generation_tokens,
        seconds=seconds,
    )


def _binned(
    state: State,
    observation: Observation,
    works: list[_Work],
    *,
    span: float,
    elapsed: float,
    held_more: int,
    memory: float,
) -> tuple[State, float, int]:
    """A new bin, and the part of late counters that belongs to bins before it."""
    prompt_mean, output_mean = means(state.mix)
    squeeze = span / elapsed if elapsed > span else 1.0
    bins = [each for each in state.bins if state.clock - each.end < memory]
    arrived, prompt, generated = float(held_more), prompt_mean * held_more, 0.0
    completed, halves = 0, 0.0
    for work in works:
        tokens = work.prompt + prompt_mean * work.waiting_more
        share = 1.0
        if work.seconds > 1.5 * elapsed:
            share = elapsed / work.seconds
            bins = _spread(bins, work, tokens, start=state.clock - work.seconds, end=state.clock - span)
        arrived += work.arrivals * share
        prompt += tokens * share
        generated += work.generated * share
        completed += work.completions
        halves += work.running_more / 2  # half of what runs is generated and not completed
    arrived, prompt = max(arrived, 0.0) * squeeze, max(prompt, 0.0) * squeeze
    generated *= squeeze
    queued_more = held_more + sum(work.waiting_more for work in works)
    # Answers of what queues are asked for now. Once it runs, engines count them a second time: those are owed.
    asked = generated + output_mean * queued_more * squeeze - state.owed
    keep = math.exp(-span / k.MIX_FORGETS)
    mix = Mix(
        arrivals=state.mix.arrivals * keep + arrived,
        prompt=state.mix.prompt * keep + prompt,
        completions=state.mix.completions * keep + completed + halves,
        generated=state.mix.generated * keep + generated,
    )
    running = sum(sample.running for sample in fresh_samples(observation))
    waiting = sum(sample.waiting for sample in fresh_samples(observation))
    batch = state.batch or 1.0
    bins.append(
        Bin(
            end=round(state.clock, 2),
            span=round(span, 2),
            arrivals=round(arrived, 3),
            prompt=round(prompt, 1),
            generated=round(generated, 1),
            asked=round(max(asked, 0.0), 1),
            batch=round(batch, 2),
            prompt_mean=round(means(mix)[0], 1),
            running=round(min(batch, max(k.SMALLEST_RUNNING, running / max(observation.ready, 1))), 2),
            present=running + waiting + (state.held if observation.held is None else observation.held),
        )
    )
    # What left the queue without running, because its client did, is owed by nobody.
    owed = min(max(-asked, 0.0), output_mean * running)
    return replace(state, bins=tuple(bins), mix=mix, owed=owed), arrived, completed


def _spread(bins: list[Bin], work: _Work, tokens: float, *, start: float, end: float) -> list[Bin]:
    """Bins with the work of a pod that was not read while they passed."""
    spread = []
    for each in bins:
        part = (min(each.end, end) - max(each.end - each.span, start)) / work.seconds
        if part > 0:
            each = replace(
                each,
                arrivals=max(each.arrivals + work.arrivals * part, 0.0),
                prompt=max(each.prompt + tokens * part, 0.0),
                generated=each.generated + work.generated * part,
                asked=each.asked + work.generated * part,
            )
        spread.append(each)
    return spread


def _idle(state: State, observation: Observation, *, worked: bool) -> State:
    """Since when nothing at all is to be done, as far as is surely known."""
    quiet = (
        is_complete(observation)
        and not worked
        and observation.held == 0
        and not observation.in_flight
        and all(sample.running + sample.waiting == 0 for sample in observation.samples)
    )
    if not quiet:
        return replace(state, idle_since=None)
    return state if state.idle_since is not None else replace(state, idle_since=state.clock)


def means(mix: Mix) -> tuple[float, float]:
    """Prompt and output tokens of a request."""
    prompt = mix.prompt / mix.arrivals if mix.arrivals >= k.MIX_NEEDS else k.ASSUMED_PROMPT
    output = mix.generated / mix.completions if mix.completions >= k.MIX_NEEDS else k.ASSUMED_OUTPUT
    return prompt, output
