"""What users felt and what it cost."""

from array import array
from collections.abc import Sequence

from gemma_operator.simulator.fleet import Fleet
from gemma_operator.simulator.types import Point, Result, Setup, Trace

_MINUTE = 60.0


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of sorted values; 0 without any."""
    if not ordered:
        return 0.0
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def summarise(
    fleet: Fleet,
    trace: Trace,
    setup: Setup,
    *,
    policy: str,
    changes: int,
    most: int,
    points: Sequence[Point],
    reasons: Sequence[str],
    down_in_gap: int,
) -> Result:
    """The figures of one run. Replica-hours end with the last arrival."""
    good = 0
    first_tokens: list[float] = []
    per_token: list[float] = []
    minutes: dict[int, list[float]] = {}
    wait, own_factor = setup.first_token_wait, 3 * setup.profile.step_per_prefill_token
    for arrival, prompt, output, first, done in zip(
        trace.arrivals, trace.inputs, trace.outputs, fleet.first, fleet.done, strict=True
    ):
        if first <= 0:
            continue
        waited = first - arrival
        first_tokens.append(waited)
        minutes.setdefault(int(arrival // _MINUTE), []).append(waited)
        if done > 0:
            good += waited <= wait + own_factor * prompt
            if output > 1:
                per_token.append((done - first) / (output - 1))
    first_tokens.sort()
    per_token.sort()
    hours = replica_hours(fleet, end=trace.duration)
    return Result(
        policy=policy,
        requests=len(trace),
        slo_attainment=good / len(trace) if len(trace) else 1.0,
        ttft_p50=quantile(first_tokens, 0.50),
        ttft_p95=quantile(first_tokens, 0.95),
        ttft_p99=quantile(first_tokens, 0.99),
        tpot_p95=quantile(per_token, 0.95),
        replica_hours=hours,
        cost=None if setup.cost_per_hour is None else hours * setup.cost_per_hour,
        scale_changes=changes,
        interrupted=fleet.interrupted,
        refused=fleet.refused,
        max_replicas=most,
        timeline=tuple(points),
        late=tuple((minute * _MINUTE, quantile(sorted(waits), 0.95)) for minute, waits in sorted(minutes.items())),
        reasons=tuple(reasons),
        down_in_gap=down_in_gap,
    )


def replica_hours(fleet: Fleet, *, end: float) -> float:
    """Hours from creation to the end of the drain, up to a moment."""
    spans = array("d")
    for replica in [*fleet.gone, *fleet.replicas.values()]:
        spans.append(max(min(replica.gone, end) - min(replica.created, end), 0.0))
    return sum(spans) / 3600
