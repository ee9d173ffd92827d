"""What was observed → status and conditions. Pure."""

from datetime import UTC, datetime

from gemma_operator.api import names
from gemma_operator.api.conditions import MESSAGES, ConditionType, Reason
from gemma_operator.api.status import (
    MAX_REJECTED,
    Condition,
    EndpointStatus,
    GemmaDeploymentStatus,
    Phase,
    PlanStatus,
    PoolStatus,
    RejectedStatus,
)
from gemma_operator.cluster.resources import Object
from gemma_operator.planner.serialize import rejection_to_json
from gemma_operator.planner.types import Plan, Pool
from gemma_operator.reconcile import scaling_status
from gemma_operator.reconcile.observed import Observed
from gemma_operator.reconcile.pods import is_ready
from gemma_operator.reconcile.replicas import needed_replicas
from gemma_operator.reconcile.specs import asked_upgrade

Verdict = tuple[bool, Reason, str]
"""Whether a condition holds, why, and the message."""
_HEALS = frozenset({Reason.UNSCHEDULABLE, Reason.NODE_LOST})
"""What keeps pods from running and needs no person: a node comes, or another one is taken."""


def compute(observed: Observed, *, now: datetime) -> Object:
    """The whole status as it should stand on the object."""
    pool = current_pool(observed)
    wanted = observed.wanted
    counts = (observed.deployment or {}).get("status", {})
    verdicts = _verdicts(observed)
    ready = verdicts[ConditionType.READY]
    status = GemmaDeploymentStatus(
        observed_generation=observed.obj["metadata"].get("generation", 0),
        phase=_phase(observed, verdicts),
        reason=ready[1],
        model=f"{pool.model} {pool.precision}" if pool else None,
        accelerator=accelerator_text(pool) if pool else None,
        ready=f"{counts.get('readyReplicas', 0)}/{wanted}",
        cost_per_hour=f"{pool.cost_per_hour * wanted:.2f}" if pool and pool.cost_per_hour is not None else None,
        replicas=counts.get("replicas", 0),
        ready_replicas=counts.get("readyReplicas", 0),
        selector=f"{names.DEPLOYMENT_LABEL}={observed.obj['metadata']['name']}",
        queue=scaling_status.queue(observed),
        decisions=scaling_status.decisions(observed),
        startup=scaling_status.startup(observed),
        outdated=observed.outdated or None,
        observed_upgrade=(asked_upgrade(observed.obj) or "")[:256] or None,
        endpoint=_endpoint(observed) if pool else None,
        plan=_plan(observed, pool) if pool else None,
        rejected=[RejectedStatus.model_validate(rejection) for rejection in _rejected(observed)] or None,
        conditions=_conditions(observed, verdicts, now=now),
    )
    return status.to_dict()


def current_pool(observed: Observed) -> Pool | None:
    """The pool that runs or is about to."""
    if observed.decision is not None and observed.decision.pools and observed.problem is None:
        return observed.decision.pools[0]
    return observed.kept.pool if observed.kept else None


def accelerator_text(pool: Pool) -> str:
    """The GPUs of one replica for people, such as `2×l4`."""
    return f"{pool.gpus_per_replica}×{pool.accelerator}" if pool.gpus_per_replica else pool.accelerator


def is_settled(observed: Observed) -> bool:
    """Whether nothing is on its way: all wanted replicas of the current version serve, and no problem is known."""
    return observed.problem is None and observed.diagnosis is None and _rolled_out(observed) and not _waiting(observed)


def _verdicts(observed: Observed) -> dict[ConditionType, Verdict]:
    planned = _planned(observed)
    ready = _ready(observed, planned)
    taken_back = _rolled_back(observed)
    stalled = taken_back is not None or (not ready[0] and _needs_a_person(observed, planned))
    reconciling = not ready[0] and not stalled and not observed.paused
    nothing: Verdict = (False, Reason.DONE, MESSAGES[Reason.DONE])
    verdicts: dict[ConditionType, Verdict] = {
        ConditionType.READY: ready,
        ConditionType.RECONCILING: (True, *ready[1:]) if reconciling else nothing,
        ConditionType.STALLED: (taken_back or (True, *ready[1:])) if stalled else nothing,
        ConditionType.PLANNED: planned,
        ConditionType.DEGRADED: _degraded(observed, ready),
    }
    if observed.spec is not None:
        verdicts[ConditionType.ROUTED] = _routed(observed)
        verdicts[ConditionType.SCALING_ACTIVE] = scaling_status.active(observed)
    return verdicts


def _planned(observed: Observed) -> Verdict:
    if observed.problem is not None and observed.problem.reason == Reason.INVALID_SPEC:
        return False, Reason.INVALID_SPEC, observed.problem.message
    decision = observed.decision
    if decision is not None and not decision.pools and isinstance(decision.plan, Plan):
        plan = decision.plan
        message = plan.reason + (f"; {plan.next_step}" if plan.next_step else "")
        return False, Reason(plan.blocked), message
    plan_reason = decision.plan.reason if decision else observed.kept.reason if observed.kept else ""
    if not plan_reason:
        return False, Reason.PAUSED, MESSAGES[Reason.PAUSED]
    return True, Reason.PLANNED, MESSAGES[Reason.PLANNED].format(summary=plan_reason)


def _ready(observed: Observed, planned: Verdict) -> Verdict:
    if observed.problem is not None:
        return False, observed.problem.reason, observed.problem.message
    if not planned[0]:
        return planned
    pool = current_pool(observed)
    assert pool is not None
    assert observed.spec is not None
    wanted = observed.wanted
    runs = {"model": f"{pool.model} {pool.precision}", "accelerator": accelerator_text(pool)}
    counts = (observed.deployment or {}).get("status", {})
    ready, updated = counts.get("readyReplicas", 0), counts.get("updatedReplicas", 0)
    needed = needed_replicas(observed.spec, wanted=wanted)
    if observed.diagnosis is not None and (ready < needed or not _rolled_out(observed)):
        return False, observed.diagnosis.reason, observed.diagnosis.message
    if not _rolled_out(observed) and ready:
        message = MESSAGES[Reason.ROLLING_OUT].format(
            how=_rollout(observed), updated=updated, wanted=wanted, detail=_progress(observed)
        )
        return False, Reason.ROLLING_OUT, message
    if ready < needed:
        message = MESSAGES[Reason.STARTING].format(ready=ready, wanted=wanted, detail=_progress(observed))
        return False, Reason.STARTING, message
    if observed.spec.router.enabled:
        routed = _routed(observed)
        if not routed[0] and routed[1] != Reason.ALIAS_CONFLICT:
            return routed
    if not wanted and scaling_status.may_sleep(observed):
        return True, Reason.ASLEEP, scaling_status.asleep_message(observed, **runs)
    message = MESSAGES[Reason.SERVING].format(ready=min(ready, wanted), wanted=wanted, **runs)
    if ready < wanted:
        message += f"; {_progress(observed)}"
    return True, Reason.SERVING, message


def _rolled_back(observed: Observed) -> Verdict | None:
    if observed.rolled_back is None:
        return None
    pool = current_pool(observed)
    now = f"{pool.model} {pool.precision} on {accelerator_text(pool)}" if pool else "what ran before"
    message = MESSAGES[Reason.ROLLED_BACK].format(why=observed.rolled_back.why, now=now)
    return True, Reason.ROLLED_BACK, message


def _needs_a_person(observed: Observed, planned: Verdict) -> bool:
    if observed.problem is not None or (not planned[0] and not observed.paused):
        return True
    return observed.diagnosis is not None and observed.diagnosis.reason not in _HEALS


def _degraded(observed: Observed, ready: Verdict) -> Verdict:
    serving = (observed.deployment or {}).get("status", {}).get("readyReplicas", 0)
    if serving and not ready[0]:
        return True, ready[1], ready[2]
    if serving and observed.diagnosis is not None:
        return True, observed.diagnosis.reason, observed.diagnosis.message
    if observed.taken is not None:
        return True, Reason.ALIAS_CONFLICT, _alias_message(observed)
    if (taken_back := _rolled_back(observed)) is not None:
        return taken_back
    if observed.scaler is not None and observed.scaler.hung:
        return True, Reason.ENGINE_HUNG, MESSAGES[Reason.ENGINE_HUNG].format(pods=", ".join(observed.scaler.hung))
    if short := scaling_status.short(observed):
        return True, Reason.TOO_FEW_GPUS, short
    return False, Reason.DONE, MESSAGES[Reason.DONE]


def _routed(observed: Observed) -> Verdict:
    spec, name = observed.spec, observed.obj["metadata"]["name"]
    assert spec is not None
    if not spec.router.enabled:
        return False, Reason.ROUTER_DISABLED, MESSAGES[Reason.ROUTER_DISABLED].format(service=name)
    if observed.taken is not None:
        return False, Reason.ALIAS_CONFLICT, _alias_message(observed)
    if current_pool(observed) is None:
        # The router learns of a model with its first plan; until then it answers that it knows no such model.
        return _ready(observed, _planned(observed))
    router = spec.router.name
    if observed.router_problem is not None:
        problem = observed.router_problem
        reason = problem.reason if problem.reason == Reason.NAME_CONFLICT else Reason.ROUTER_FAILED
        return False, reason, MESSAGES[Reason.ROUTER_FAILED].format(router=router, detail=problem.message)
    counts = (observed.router or {}).get("status", {})
    wanted = (observed.router or {}).get("spec", {}).get("replicas", 0)
    ready = counts.get("readyReplicas", 0)
    if not ready:
        message = MESSAGES[Reason.ROUTER_STARTING].format(router=router, ready=ready, wanted=wanted)
        return False, Reason.ROUTER_STARTING, message
    served = ", ".join(_endpoint(observed).models)
    return True, Reason.ROUTED, MESSAGES[Reason.ROUTED].format(router=router, names=served)


def _alias_message(observed: Observed) -> str:
    assert observed.taken is not None
    return MESSAGES[Reason.ALIAS_CONFLICT].format(alias=observed.taken.name, owner=observed.taken.owner)


def _phase(observed: Observed, verdicts: dict[ConditionType, Verdict]) -> Phase:
    if observed.paused:
        return Phase.PAUSED
    if verdicts[ConditionType.READY][1] is Reason.ASLEEP:
        return Phase.ASLEEP
    if verdicts[ConditionType.READY][0]:
        return Phase.DEGRADED if verdicts[ConditionType.DEGRADED][0] else Phase.READY
    serving = (observed.deployment or {}).get("status", {}).get("readyReplicas", 0)
    if serving:
        return Phase.UPDATING if observed.diagnosis is None and verdicts[ConditionType.PLANNED][0] else Phase.DEGRADED
    if not verdicts[ConditionType.PLANNED][0] and observed.problem is None:
        return Phase.PENDING
    return Phase.STALLED if verdicts[ConditionType.STALLED][0] else Phase.STARTING


def _endpoint(observed: Observed) -> EndpointStatus:
    metadata, spec = observed.obj["metadata"], observed.spec
    namespace, name = metadata["namespace"], metadata["name"]
    if spec is None or not spec.router.enabled:
        return EndpointStatus(url=f"http://{name}.{namespace}.svc:{names.ENGINE_PORT}/v1", models=[name])
    aliases = [alias for alias in spec.router.aliases if observed.taken is None or alias != observed.taken.name]
    return EndpointStatus(
        url=f"http://{spec.router.name}.{namespace}.svc/v1",
        external_url=observed.external_url,
        models=[name, *aliases],
    )


def _plan(observed: Observed, pool: Pool) -> PlanStatus:
    decision = observed.decision
    source = decision.plan if decision is not None and decision.pools else observed.kept
    reason = source.reason if source is not None else ""
    warnings = list(source.warnings) if isinstance(source, Plan) else []
    return PlanStatus(pools=[PoolStatus.model_validate(pool)], reason=reason, warnings=warnings)


def _rejected(observed: Observed) -> list[Object]:
    source = observed.decision.plan if observed.decision else observed.kept
    if source is None:
        return []
    if isinstance(source, Plan):
        return [rejection_to_json(rejection) for rejection in source.rejected[:MAX_REJECTED]]
    return list(source.rejected[:MAX_REJECTED])


def _conditions(observed: Observed, verdicts: dict[ConditionType, Verdict], *, now: datetime) -> list[Condition]:
    before = {c["type"]: c for c in observed.obj.get("status", {}).get("conditions") or ()}
    conditions = []
    for kind, (holds, reason, message) in verdicts.items():
        status = "True" if holds else "False"
        known = before.get(kind.value, {})
        since = datetime.fromisoformat(known["lastTransitionTime"]) if known.get("status") == status else now
        conditions.append(
            Condition(
                type=kind.value,
                status="True" if holds else "False",
                reason=reason.value,
                message=message[:4096],
                last_transition_time=since,
                observed_generation=observed.obj["metadata"].get("generation", 0),
            )
        )
    return conditions


def _rolled_out(observed: Observed) -> bool:
    """Whether no pod of an older version is left."""
    deployment = observed.deployment
    if deployment is None:
        return False
    counts, generation = deployment.get("status", {}), deployment["metadata"].get("generation", 0)
    # A generation that only changed the number of replicas makes no pod an old one.
    scaled = observed.scaler is not None and observed.scaler.generation == generation
    return bool(
        counts.get("observedGeneration", 0) >= generation - int(scaled)
        and counts.get("replicas", 0) == counts.get("updatedReplicas", 0)
    )


def _waiting(observed: Observed) -> bool:
    counts = (observed.deployment or {}).get("status", {})
    return bool(counts.get("readyReplicas", 0) < observed.wanted)


def _rollout(observed: Observed) -> str:
    """How the pool is rolled, and why so."""
    rolling = (observed.deployment or {}).get("spec", {}).get("strategy", {}).get("rollingUpdate") or {}
    surges = rolling.get("maxSurge") not in (None, 0, "0", "0%")
    how = "with one replica more meanwhile" if surges else "in place"
    if observed.spec is not None and observed.spec.rollout != "auto":
        return f"{how}, as spec.rollout says"
    free = "were free" if surges else "were not free"
    return f"{how}, since GPUs for one more {free}"


def _progress(observed: Observed) -> str:
    words = []
    for pod in observed.pods:
        if pod["metadata"].get("deletionTimestamp"):
            words.append(f"{pod['metadata']['name']} drains")
        elif not is_ready(pod):
            state = "loads" if pod.get("spec", {}).get("nodeName") else "waits for a node"
            words.append(f"{pod['metadata']['name']} {state}")
    return ", ".join(sorted(words)[:4]) or "waiting for pods"


def utc_now() -> datetime:
    """The present, in whole seconds as the API writes it."""
    return datetime.now(UTC).replace(microsecond=0)
