"""What the operator keeps with a pool's Deployment: the plan, the inputs it was made from, the manifest applied.

Kept on the object and not in status, because status is only a projection. Healing drift applies the kept manifest
again, so a new operator version rolls no pod until spec or plan changes, or somebody asks for an upgrade.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache

from gemma_operator.api import names
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cluster.resources import Object
from gemma_operator.planner.serialize import pool_from_json, pool_to_json, rejection_to_json
from gemma_operator.planner.types import Plan, Pool
from gemma_operator.reconcile.specs import asked_upgrade
from gemma_operator.render.manifests import annotated, compact
from gemma_operator.render.versions import same_version

_NOT_PLANNED: dict[str, bool | set[str]] = {
    "replicas": True,
    "priority": True,
    # Pods know their router: another one rolls them, and planning says whether there are GPUs to do it by.
    "router": {"aliases", "fallbacks"},
    "scaling": {"max", "preference", "mode", "idle_before0", "hold_timeout"},
}
_NOT_IN_PODS: dict[str, bool | set[str]] = {
    "replicas": True,
    "priority": True,
    "max_cost_per_hour": True,
    "scaling": {"min", "max", "preference", "mode", "idle_before0", "hold_timeout"},
    "router": {"aliases", "fallbacks"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPlan:
    """A plan as it stands on a Deployment."""

    inputs: str
    """Digest of the spec that the plan was made from."""
    pool: Pool
    reason: str
    rejected: tuple[Object, ...]
    upgrade: str | None = None
    """The upgrade that was asked for when its manifest was rendered."""


def plan_inputs(spec: GemmaDeploymentSpec) -> str:
    """Digest of the fields that planning reads."""
    return _digest(spec.model_dump(mode="json", exclude=_NOT_PLANNED))


def spec_inputs(spec: GemmaDeploymentSpec, *, upgrade: str | None = None) -> str:
    """Digest of everything that somebody wrote and pods are planned or rendered from; `upgrade`: as asked for."""
    asked = [upgrade] if upgrade else []
    return _digest([plan_inputs(spec), spec.model_dump(mode="json", exclude=_NOT_IN_PODS), *asked])


def pod_inputs(spec: GemmaDeploymentSpec, pool: Pool) -> str:
    """Digest of everything that the pods of a pool are rendered from, apart from the operator's own version."""
    dump = spec.model_dump(mode="json", exclude=_NOT_IN_PODS)
    return _digest([dump, pool_to_json(replace(pool, replicas=1))])


def upgrade_due(obj: Object, kept: KeptPlan | None) -> bool:
    """Whether a GemmaDeployment asks for an upgrade that what runs was not rendered for."""
    asked = asked_upgrade(obj)
    return asked is not None and kept is not None and asked != kept.upgrade


def with_plan(
    manifest: Object,
    *,
    spec: GemmaDeploymentSpec,
    pool: Pool,
    plan: Plan | KeptPlan,
    good: str | None = None,
    upgrade: str | None = None,
    ran: bool = False,
) -> Object:
    """The manifest of a pool's Deployment with all that must be kept on it.

    `good` is the last version that ran, `upgrade` what was asked for when the manifest was rendered, `ran` whether this
    version has been ready once.
    """
    rejected = plan.rejected if isinstance(plan, KeptPlan) else tuple(rejection_json(plan))
    kept = {
        "inputs": plan_inputs(spec),
        "pool": pool_to_json(pool),
        "reason": plan.reason,
        "rejected": list(rejected),
        **({"upgrade": upgrade} if upgrade else {}),
    }
    return annotated(
        manifest,
        {
            names.APPLIED_ANNOTATION: compact({"inputs": pod_inputs(spec, pool), "manifest": manifest}),
            names.PLAN_ANNOTATION: compact(kept),
            **({names.GOOD_ANNOTATION: good} if good else {}),
            **({names.RAN_ANNOTATION: "true"} if ran else {}),
        },
    )


def rejection_json(plan: Plan, *, most: int = 8) -> list[Object]:
    """The rejections that status and annotation show."""
    return [rejection_to_json(rejection) for rejection in plan.rejected[:most]]


def kept_plan(deployment: Object) -> KeptPlan | None:
    """The plan on a Deployment; `None` when it is missing or damaged, which makes the operator plan anew."""
    text = (deployment["metadata"].get("annotations") or {}).get(names.PLAN_ANNOTATION)
    return _kept_plan(text) if isinstance(text, str) else None


@lru_cache(maxsize=4096)
def _kept_plan(text: str) -> KeptPlan | None:
    # Read at every look at a deployment, and hardly ever changed.
    try:
        kept = json.loads(text)
        return KeptPlan(
            inputs=kept["inputs"],
            pool=pool_from_json(kept["pool"]),
            reason=kept["reason"],
            rejected=tuple(kept["rejected"]),
            upgrade=kept.get("upgrade"),
        )
    except (KeyError, TypeError, ValueError):
        return None


def kept_manifest(deployment: Object, *, inputs: str) -> Object | None:
    """The manifest last applied, if it was rendered from the same inputs."""
    try:
        kept = json.loads(deployment["metadata"]["annotations"][names.APPLIED_ANNOTATION])
        manifest: Object | None = kept["manifest"] if kept["inputs"] == inputs else None
        return manifest
    except (KeyError, TypeError, ValueError):
        return None


def manifest_that_stays(
    deployment: Object, *, rendered: Object, spec: GemmaDeploymentSpec, pool: Pool, due: KeptPlan | None
) -> Object | None:
    """The manifest last applied, where it goes on: while spec and plan are those that it was rendered from.

    `due`: the kept plan where an upgrade is asked for. Then it goes on only if it is of the version of `rendered`.
    """
    if due is None:
        return kept_manifest(deployment, inputs=pod_inputs(spec, pool))
    applied = kept_manifest(deployment, inputs=pod_inputs(spec, due.pool))
    return applied if applied is not None and same_version(applied, rendered) else None


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
