"""What status tells of scaling: queue, decisions, start-ups, and what keeps the replicas where they are. Pure."""

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any, Final

from gemma_operator.api.conditions import MESSAGES, ConditionType, Reason
from gemma_operator.api.spec import seconds
from gemma_operator.api.status import MAX_DECISIONS, DecisionStatus, QueueStatus, StartupStatus
from gemma_operator.reconcile.observed import Observed
from gemma_operator.reconcile.replicas import decided_by_operator, quantile

_LEARNT: Final = frozenset({Reason.FOLLOWS_QUEUE, Reason.NO_METRICS})
_COUNTS = ("running", "waiting", "held")


def queue(observed: Observed) -> QueueStatus | None:
    """The queue as last seen; after a restart what status says already."""
    found = observed.scaler.queue if observed.scaler else None
    before = _before(observed).get("queue")
    if before and (found is None or all(before[name] == getattr(found, name) for name in _COUNTS)):
        return QueueStatus.model_validate(before)
    if found is None:
        return None
    words = [f"{found.running} running"]
    if found.waiting or found.held:
        words.append(f"{found.waiting + found.held} waiting")
    return QueueStatus(
        running=found.running, waiting=found.waiting, held=found.held, summary=", ".join(words), at=found.at
    )


def decisions(observed: Observed) -> list[DecisionStatus] | None:
    """The last decisions, newest first; those of earlier processes stay as they stand in status."""
    made = [
        DecisionStatus(at=at, before=each.before, after=each.after, reason=each.reason, inputs=_numbers(each.inputs))
        for at, each in (observed.scaler.decisions if observed.scaler else ())
    ]
    oldest = made[-1].at if made else None
    for entry in _before(observed).get("decisions") or ():
        if oldest is None or datetime.fromisoformat(entry["at"]) < oldest:
            made.append(DecisionStatus.model_validate(entry))
    return made[:MAX_DECISIONS] or None


def _numbers(inputs: Mapping[str, object]) -> dict[str, float]:
    return {name: float(value) for name, value in inputs.items() if isinstance(value, int | float)}


def startup(observed: Observed) -> StartupStatus | None:
    """Measured starts; until one is seen in this process, what status says already."""
    starts = list(observed.scaler.starts.values()) if observed.scaler else []
    before = _before(observed).get("startup")
    if before and (not starts or not (observed.scaler and observed.scaler.news)):
        return StartupStatus.model_validate(before)
    if not starts:
        return None
    return StartupStatus(
        p50_seconds=round(quantile(starts, 0.5)), p90_seconds=round(quantile(starts, 0.9)), samples=len(starts)
    )


def active(observed: Observed) -> tuple[bool, Reason, str]:
    """The condition ScalingActive."""
    spec, scaler = observed.spec, observed.scaler
    assert spec is not None
    if spec.scaling.mode == "external":
        return False, Reason.EXTERNAL, MESSAGES[Reason.EXTERNAL].format(replicas=spec.replicas)
    if spec.replicas is not None:
        name = observed.obj["metadata"]["name"]
        return False, Reason.FIXED_REPLICAS, MESSAGES[Reason.FIXED_REPLICAS].format(replicas=spec.replicas, name=name)
    if (before := _told_before(observed, ConditionType.SCALING_ACTIVE, _LEARNT)) is not None:
        return before
    if scaler is not None and scaler.blind:
        return (
            False,
            Reason.NO_METRICS,
            MESSAGES[Reason.NO_METRICS].format(replicas=observed.wanted, detail=scaler.blind),
        )
    bounds = spec.scaling
    limit = f"; {scaler.wished} are wanted: {scaler.limit}" if scaler is not None and scaler.limit else ""
    return (
        True,
        Reason.FOLLOWS_QUEUE,
        MESSAGES[Reason.FOLLOWS_QUEUE].format(minimum=bounds.min, maximum=bounds.max, limit=limit),
    )


def may_sleep(observed: Observed) -> bool:
    """Whether no replica at all is the operator's own decision."""
    return observed.spec is not None and decided_by_operator(observed.spec) and observed.spec.scaling.min == 0


def asleep_message(observed: Observed, *, model: str, accelerator: str) -> str:
    """Why nothing runs, and what the first request meets."""
    assert observed.spec is not None
    known = startup(observed)
    took = f"within {known.p90_seconds} s" if known else "within minutes"
    idle = seconds(observed.spec.scaling.idle_before0)
    return MESSAGES[Reason.ASLEEP].format(
        idle=f"{idle // 60} min" if idle >= 60 else f"{idle} s", model=model, accelerator=accelerator, startup=took
    )


def short(observed: Observed) -> str:
    """How many replicas are missing for want of GPUs, quota or money; empty when none are."""
    scaler = observed.scaler
    if (before := _told_before(observed, ConditionType.DEGRADED, {Reason.TOO_FEW_GPUS})) is not None:
        return before[2]
    if scaler is None or not scaler.limit or scaler.wished <= observed.wanted:
        return ""
    return MESSAGES[Reason.TOO_FEW_GPUS].format(wanted=scaler.wished, possible=observed.wanted, detail=scaler.limit)


def _told_before(observed: Observed, kind: ConditionType, reasons: Set[Reason]) -> tuple[bool, Reason, str] | None:
    """A condition that only the scaler can tell, as it stands in status; `None` once it has looked."""
    if observed.scaler is not None and observed.scaler.looked:
        return None
    for condition in _before(observed).get("conditions") or ():
        if condition["type"] == kind and condition["reason"] in reasons:
            return condition["status"] == "True", Reason(condition["reason"]), condition["message"]
    return None


def _before(observed: Observed) -> dict[str, Any]:
    found: dict[str, Any] = observed.obj.get("status") or {}
    return found
