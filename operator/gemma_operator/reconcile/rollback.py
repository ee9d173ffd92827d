"""Take back a version that never becomes ready: the last good one is kept with the pool's Deployment."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gemma_operator.api import names
from gemma_operator.api.conditions import Reason
from gemma_operator.cluster.resources import Object
from gemma_operator.reconcile.diagnosis import Diagnosis
from gemma_operator.reconcile.kept import kept_plan
from gemma_operator.render.manifests import annotated, compact

HOPELESS: Final = frozenset(
    {
        Reason.BAD_FLAGS,
        Reason.WEIGHTS_MISSING,
        Reason.WEIGHTS_GATED,
        Reason.KV_CACHE_TOO_SMALL,
        Reason.OUT_OF_MEMORY_GPU,
        Reason.GPU_UNSUPPORTED,
        Reason.DRIVER_TOO_OLD,
        Reason.ENGINE_BROKEN,
    }
)
"""Failures that come again with every start: nothing is gained by waiting for the deadline."""
_TEMPLATE_HASH: Final = "pod-template-hash"
_DEADLINE: Final = 600
"""What Kubernetes takes where a Deployment says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """A version that was taken back."""

    inputs: str
    """Digest of the spec and upgrade that failed: others are tried, these are not tried again."""
    why: str


def good_annotation(live: Object | None) -> str | None:
    """What to keep as the last good version when another is applied over `live`: itself if it ran, else its own."""
    if live is None:
        return None
    annotations = live["metadata"].get("annotations") or {}
    applied, plan = annotations.get(names.APPLIED_ANNOTATION), annotations.get(names.PLAN_ANNOTATION)
    if applied and plan and has_run(live):
        return compact({"applied": applied, "plan": plan})
    return kept_good(live)


def kept_good(live: Object | None) -> str | None:
    """The last good version as it is kept on `live`."""
    return ((live or {}).get("metadata", {}).get("annotations") or {}).get(names.GOOD_ANNOTATION) or None


def has_run(deployment: Object) -> bool:
    """Whether the present version was ready once: it serves, or it is written on the Deployment that it did.

    Kubernetes calls a rollout of no replica complete, so that its conditions do not tell.
    """
    status, metadata = deployment.get("status", {}), deployment["metadata"]
    serves = (
        status.get("observedGeneration", 0) >= metadata.get("generation", 0)
        and not rolls(deployment)
        and status.get("readyReplicas", 0) > 0
    )
    return bool(serves or names.RAN_ANNOTATION in (metadata.get("annotations") or {}))


def rolls(deployment: Object) -> bool:
    """Whether pods of an older version are there."""
    status = deployment.get("status", {})
    return bool(status.get("replicas", 0) != status.get("updatedReplicas", 0))


def newest(pods: Iterable[Object], deployment: Object) -> list[Object]:
    """The pods of the present version, where others are there too."""
    found = list(pods)
    if len({(pod["metadata"].get("labels") or {}).get(_TEMPLATE_HASH) for pod in found}) <= 1:
        return found
    return [pod for pod in found if _command(pod.get("spec", {})) == _command(deployment["spec"]["template"]["spec"])]


def _command(spec: Object) -> list[tuple[object, object]]:
    engines = (each for each in spec.get("containers", ()) if each.get("name") == names.ENGINE_CONTAINER)
    return [(engine.get("image"), engine.get("args")) for engine in engines]


def rolled_back(deployment: Object | None) -> RolledBack | None:
    """What was taken back on this Deployment, if its last good version runs instead."""
    text = ((deployment or {}).get("metadata", {}).get("annotations") or {}).get(names.ROLLED_BACK_ANNOTATION)
    try:
        found = json.loads(text or "")
        return RolledBack(inputs=found["inputs"], why=found["why"])
    except (ValueError, KeyError, TypeError):
        return None


def good_manifest(deployment: Object, *, inputs: str, why: str) -> Object | None:
    """The last good version, marked with the digest of what it replaces; `None` when there is none."""
    try:
        good = json.loads(deployment["metadata"]["annotations"][names.GOOD_ANNOTATION])
        applied = json.loads(good["applied"])
        if good["applied"] == deployment["metadata"]["annotations"][names.APPLIED_ANNOTATION]:
            return None
        mark = compact({"inputs": inputs, "why": why})
        manifest = annotated(
            applied["manifest"],
            {
                names.APPLIED_ANNOTATION: good["applied"],
                names.PLAN_ANNOTATION: good["plan"],
                names.RAN_ANNOTATION: "true",
                names.ROLLED_BACK_ANNOTATION: mark,
            },
        )
    except (ValueError, KeyError, TypeError):
        return None
    return manifest if kept_plan(manifest) is not None else None


def present(deployment: Object) -> Object | None:
    """A version that was brought back, as it is to be kept; `None` when its annotations are damaged."""
    annotations = deployment["metadata"].get("annotations") or {}
    kept = (names.APPLIED_ANNOTATION, names.PLAN_ANNOTATION, names.RAN_ANNOTATION, names.ROLLED_BACK_ANNOTATION)
    try:
        manifest: Object = json.loads(annotations[names.APPLIED_ANNOTATION])["manifest"]
        return annotated(manifest, {name: annotations[name] for name in kept})
    except (ValueError, KeyError, TypeError):
        return None


def hopeless(deployment: Object, *, diagnosis: Diagnosis | None, loading: float = 0.0) -> str:
    """Why the present version will not become ready; empty while it may, and for one that was ready once.

    `diagnosis` is of its own pods, `loading` the seconds for which one of them has been on its way.
    """
    status = deployment.get("status", {})
    if has_run(deployment) or status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return ""
    conditions = {condition.get("type"): condition.get("reason") for condition in status.get("conditions") or ()}
    # Of a version that was rolled out to no replica and is woken, Kubernetes never says that it took too long.
    if conditions.get("Progressing") == "ProgressDeadlineExceeded" or loading > _deadline(deployment):
        return diagnosis.message if diagnosis else "it was not ready within its start-up budget"
    if diagnosis is not None and diagnosis.reason in HOPELESS:
        return diagnosis.message
    return ""


def _deadline(deployment: Object) -> float:
    return float(deployment.get("spec", {}).get("progressDeadlineSeconds", _DEADLINE))
