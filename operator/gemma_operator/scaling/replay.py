"""Work replay: how many of the requests of the last half hour would have been late with N replicas, and at what price.

Each bin is replayed as a fluid: prompts queue for prefill, and all work queues for engine time. A request that waits
longer than the objective is late; a late request costs some times its own work. The N with the smallest cost of
replicas and lateness is the floor for the next minutes.
"""

import math
from dataclasses import dataclass

from gemma_operator.scaling import constants as k
from gemma_operator.scaling import cost
from gemma_operator.scaling.types import Bin, CostModel, Settings, State

_Row = tuple[float, float, float, float, float, float]
"""arrivals, seconds, prompt tokens, prompt tokens that one replica can take, seconds of slack, seconds of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replay:
    rows: tuple[_Row, ...]
    span: float
    price: float


def floor(
    state: State, settings: Settings, *, lowest: int, highest: int, chunk: int, current: int | None = None
) -> int:
    """The cheapest number of replicas for the recent arrivals, at least `lowest`; 0 when too few were seen.

    `current` replicas are left alone while they cost hardly more than the cheapest: costs of neighbours are close,
    and what leaves the window would make the floor waver.
    """
    if sum(each.arrivals for each in state.bins) <= k.REPLAY_NEEDS:
        return 0
    replay = _prepare(state, settings, chunk=chunk)
    if not replay.price:
        return 0
    highest = max(highest, lowest)
    start = min(max(lowest, math.ceil(sum(row[5] for row in replay.rows) / replay.span)), highest)
    best, cheapest = _cheapest_below(replay, lowest, start, *_cheapest_above(replay, start, highest))
    if current is None or current == best or not lowest <= current <= highest:
        return best
    margin = k.INDIFFERENT_UP if current < best else k.INDIFFERENT_DOWN
    own, most = current * replay.span, cheapest * (1 + margin)
    if own > most:
        return best
    late = _late(replay.rows, current, enough=(most - own) / replay.price)
    return current if own + replay.price * late <= most else best


def _cheapest_above(replay: _Replay, start: int, highest: int) -> tuple[int, float]:
    """From the replicas that the mean work needs upwards, until they cost more by themselves."""
    best, cheapest = start, float("inf")
    for replicas in range(start, highest + 1):
        own = replicas * replay.span
        if own >= cheapest:
            break
        late = _late(replay.rows, replicas, enough=(cheapest - own) / replay.price)
        if own + replay.price * late < cheapest:
            best, cheapest = replicas, own + replay.price * late
        if late < k.LATE_ENOUGH:
            break
    return best, cheapest


def _cheapest_below(replay: _Replay, lowest: int, start: int, best: int, cheapest: float) -> tuple[int, float]:
    """More replicas are never later, so that one look ends the search where lateness alone costs too much."""
    for replicas in range(start - 1, lowest - 1, -1):
        own = replicas * replay.span
        late = _late(replay.rows, replicas, enough=(cheapest - lowest * replay.span) / replay.price)
        if own + replay.price * late <= cheapest:
            best, cheapest = replicas, own + replay.price * late
        if lowest * replay.span + replay.price * late >= cheapest:
            break
    return best, cheapest


def _prepare(state: State, settings: Settings, *, chunk: int) -> _Replay:
    model = state.model
    larger = 1 + k.YOUNG_GROWTH * max(0.0, 1 - state.clock / k.YOUNG)
    rows = tuple(_row(each, model, settings, larger=larger, chunk=float(chunk)) for each in state.bins)
    arrivals = sum(each.arrivals for each in state.bins)
    work = sum(row[5] for row in rows) / larger
    price = k.LATE_PRICE * settings.v * work / arrivals
    return _Replay(rows=rows, span=sum(each.span for each in state.bins), price=price)


def _row(each: Bin, model: CostModel, settings: Settings, *, larger: float, chunk: float) -> _Row:
    weight = cost.decode_weight(model, each.batch)
    piece = min(max(each.prompt_mean, k.SMALLEST_CHUNK), chunk)
    step = model.base + model.per_sequence * each.running + model.per_prompt_token * piece
    prompt = larger * each.prompt
    return (
        each.arrivals,
        each.span,
        prompt,
        piece / step * each.span,
        settings.first_token_wait + 2 * model.per_prompt_token * each.prompt_mean,
        model.per_prompt_token * prompt + larger * each.asked * weight,
    )


def _late(rows: tuple[_Row, ...], replicas: int, *, enough: float) -> float:
    """Requests that would have waited longer than their slack; at `enough` of them the count ends."""
    late = queue = backlog = 0.0
    for arrivals, seconds, prompt, capacity, slack, work in rows:
        capacity *= replicas
        before = queue
        queue += prompt - capacity
        if queue < 0.0:
            queue = 0.0
        backlog += work - replicas * seconds
        if backlog < 0.0:
            backlog = 0.0
        if not arrivals:
            continue
        if late > enough:
            break
        if backlog > slack * replicas:
            late += arrivals
            continue
        start = before / capacity * seconds
        end = (before + prompt - capacity) / capacity * seconds
        high, low = (start, end) if start > end else (end, start)
        if low >= slack:
            late += arrivals
        elif high > slack:
            late += arrivals * (high - slack) / (high - low)
    return late
