"""A GemmaDeployment and its replicas as `kubectl gemma status` shows them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from gemma_operator.api import names
from gemma_operator.api.conditions import PASSING, ConditionType, Reason
from gemma_operator.api.status import Condition, GemmaDeploymentStatus, Phase
from gemma_operator.cli.failure import CliError, fields
from gemma_operator.reconcile.diagnosis import container_status
from gemma_operator.reconcile.pods import is_ready

Object = dict[str, Any]

_TRUE_IS_WRONG: Final = (ConditionType.STALLED, ConditionType.DEGRADED)
_FALSE_IS_WRONG: Final = (
    ConditionType.READY,
    ConditionType.PLANNED,
    ConditionType.ROUTED,
    ConditionType.SCALING_ACTIVE,
)
_CHOSEN: Final = frozenset({Reason.ROUTER_DISABLED, Reason.FIXED_REPLICAS, Reason.EXTERNAL, Reason.PAUSED})
"""False because somebody wants it so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is not as it should be, and what to do about it."""

    conditions: tuple[str, ...]
    """Conditions that say so; empty: seen by this command itself."""
    reason: str
    message: str
    passing: bool
    """On its way and no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One engine pod."""

    name: str
    pool: int
    phase: str
    node: str
    created: datetime
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything about one GemmaDeployment."""

    namespace: str
    name: str
    phase: str
    status: GemmaDeploymentStatus
    findings: tuple[Finding, ...]
    replicas: tuple[Replica, ...]

    @property
    def shown_plan(self) -> str:
        """Model and GPUs, such as `31b int4 on 2×l4`."""
        if not self.status.model:
            return "–"
        return f"{self.status.model} on {self.status.accelerator}" if self.status.accelerator else self.status.model


def view(obj: Object, *, pods: Iterable[Object] = ()) -> View:
    """A GemmaDeployment of the API server with its engine pods; raises `CliError` for a status that is not known."""
    metadata = obj["metadata"]
    where = f"{metadata.get('namespace')}/{metadata['name']}"
    try:
        status = GemmaDeploymentStatus.model_validate(obj.get("status") or {})
    except ValidationError as error:
        raise CliError(
            f"{where}: its status is not what this version of kubectl-gemma knows; use the one of the operator's "
            f"version\n{fields(error, prefix='status')}"
        ) from None
    return View(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        phase=_phase(obj, status),
        status=status,
        findings=tuple(_findings(obj, status)),
        replicas=tuple(sorted((_replica(pod) for pod in pods), key=lambda each: (each.pool, each.created, each.name))),
    )


def _phase(obj: Object, status: GemmaDeploymentStatus) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Deleting"
    return (status.phase or Phase.PENDING).value


def _findings(obj: Object, status: GemmaDeploymentStatus) -> Iterable[Finding]:
    seen, now = max(status.observed_generation or 0, 0), obj["metadata"].get("generation", 0)
    if seen < now:
        what = f"its last change (generation {now}, seen {seen})" if seen else "it"
        yield Finding(
            conditions=(),
            reason="NotSeen",
            message=f"the operator has not looked at {what} yet; where that lasts, `kubectl gemma doctor` tells why",
            passing=True,
        )
    by_message: dict[str, list[Condition]] = {}
    for condition in status.conditions or ():
        if _is_wrong(condition):
            by_message.setdefault(condition.message, []).append(condition)
    found = [
        Finding(
            conditions=tuple(each.type for each in same),
            reason=same[0].reason,
            message=message,
            passing=all(each.reason in PASSING for each in same),
        )
        for message, same in by_message.items()
    ]
    yield from sorted(found, key=lambda each: each.passing)


def _is_wrong(condition: Condition) -> bool:
    if condition.reason in _CHOSEN:
        return False
    wrong_when_true = condition.status == "True" and condition.type in _TRUE_IS_WRONG
    return wrong_when_true or (condition.status != "True" and condition.type in _FALSE_IS_WRONG)


def _replica(pod: Object) -> Replica:
    metadata = pod["metadata"]
    status = container_status(pod, container=names.ENGINE_CONTAINER)
    pool = (metadata.get("labels") or {}).get(names.POOL_LABEL, "")
    return Replica(
        name=metadata["name"],
        pool=int(pool) if pool.isdecimal() else 0,
        phase=_pod_phase(pod, status),
        node=(pod.get("spec") or {}).get("nodeName") or "",
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        restarts=int(status.get("restartCount", 0)),
    )


def _pod_phase(pod: Object, status: Mapping[str, Any]) -> str:
    """One word for people."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Draining"
    phase = str((pod.get("status") or {}).get("phase") or "Pending")
    if phase in ("Failed", "Succeeded"):
        return str((pod.get("status") or {}).get("reason") or phase)
    if is_ready(pod):
        return "Ready"
    if not (pod.get("spec") or {}).get("nodeName"):
        return "WaitsForNode"
    state = status.get("state") or {}
    waiting = (state.get("waiting") or {}).get("reason")
    if waiting and waiting not in ("ContainerCreating", "PodInitializing"):
        return str(waiting)
    return "Loading" if "running" in state else "Creating"


def to_json(each: View, *, whole: bool) -> Object:
    """A view for programs; `whole`: with plan, replicas, decisions and rejected candidates."""
    status = each.status.to_dict()
    body: Object = {
        "namespace": each.namespace,
        "name": each.name,
        "phase": each.phase,
        "plan": None if not each.status.model else each.shown_plan,
        "replicas": {"ready": each.status.ready_replicas or 0, "wanted": wanted(each.status)},
        "queue": status.get("queue"),
        "startup": status.get("startup"),
        "outdated": each.status.outdated,
        "costPerHour": None if each.status.cost_per_hour is None else float(each.status.cost_per_hour),
        "findings": [
            {
                "conditions": list(found.conditions),
                "reason": found.reason,
                "message": found.message,
                "passing": found.passing,
            }
            for found in each.findings
        ],
    }
    if not whole:
        return body
    return body | {
        "endpoint": status.get("endpoint"),
        "pools": (status.get("plan") or {}).get("pools", []),
        "planReason": each.status.plan.reason if each.status.plan else None,
        "warnings": list(each.status.plan.warnings) if each.status.plan else [],
        "pods": [
            {
                "name": pod.name,
                "pool": pod.pool,
                "phase": pod.phase,
                "node": pod.node or None,
                "createdAt": pod.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "restarts": pod.restarts,
            }
            for pod in each.replicas
        ],
        "decisions": status.get("decisions", []),
        "rejected": status.get("rejected", []),
    }


def wanted(status: GemmaDeploymentStatus) -> int:
    """Replicas that should run: the second number of `status.ready`."""
    _, _, number = (status.ready or "").partition("/")
    return int(number) if number.isdecimal() else 0
