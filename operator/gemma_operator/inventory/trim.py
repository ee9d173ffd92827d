"""The stable, small form of cluster objects: what the planner reads and nothing more.

Dumps (`kubectl gemma dump`) are made of these, so that they carry no environment, no secret, no image and no
annotation of a person. Trimming a trimmed object changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from gemma_operator.api import names
from gemma_operator.api.spec import GemmaDeploymentSpec

Object = dict[str, Any]

_RESOURCES = ("requests", "limits")
_POD_LABELS = (names.DEPLOYMENT_LABEL, names.POOL_LABEL, names.MANAGED_BY_LABEL)
_METADATA = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")


def _metadata(obj: Mapping[str, Any], *, labels: tuple[str, ...] | None = ()) -> Object:
    source = obj.get("metadata") or {}
    kept = {key: source[key] for key in _METADATA if source.get(key) is not None}
    found = source.get("labels") or {}
    wanted = found if labels is None else {key: found[key] for key in labels if key in found}
    if wanted:
        kept["labels"] = dict(wanted)
    return kept


def _some(source: Mapping[str, Any] | None, *keys: str) -> Object:
    return {key: source[key] for key in keys if source.get(key)} if source else {}


def trim_node(obj: Mapping[str, Any]) -> Object:
    """Labels, taints, cordon, allocatable, readiness."""
    status = obj.get("status") or {}
    conditions = [
        {"type": "Ready", "status": each.get("status", "Unknown")}
        for each in status.get("conditions") or ()
        if each.get("type") == "Ready"
    ]
    if not conditions and status.get("conditions"):
        conditions = [{"type": "Ready", "status": "Unknown"}]
    taints = [_some(taint, "key", "value", "effect") for taint in (obj.get("spec") or {}).get("taints") or ()]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": _metadata(obj, labels=None),
        "spec": _some(obj.get("spec"), "unschedulable") | ({"taints": taints} if taints else {}),
        "status": {
            "allocatable": dict(status.get("allocatable") or status.get("capacity") or {}),
            **({"conditions": conditions} if conditions else {}),
        },
    }


def _containers(containers: Any) -> list[Object]:
    return [
        _some(container, "name", "restartPolicy") | {"resources": _some(container.get("resources"), *_RESOURCES)}
        for container in containers or ()
    ]


def _pod_spec(spec: Mapping[str, Any]) -> Object:
    kept = _some(spec, "nodeName", "nodeSelector", "overhead", "priorityClassName")
    if inits := spec.get("initContainers"):
        kept["initContainers"] = _containers(inits)
    kept["containers"] = _containers(spec.get("containers"))
    if resources := _some(spec.get("resources"), *_RESOURCES):
        kept["resources"] = resources
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    if required := affinity.get("requiredDuringSchedulingIgnoredDuringExecution"):
        kept["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    if tolerations := spec.get("tolerations"):
        keys = ("key", "operator", "value", "effect")
        kept["tolerations"] = [_some(each, *keys) for each in tolerations]
    return kept


def trim_pod(obj: Mapping[str, Any]) -> Object:
    """Requests, node, phase, and where it may go."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(obj, labels=_POD_LABELS),
        "spec": _pod_spec(obj.get("spec") or {}),
        "status": _some(obj.get("status"), "phase"),
    }


def trim_quota(obj: Mapping[str, Any]) -> Object:
    """Limits, use and scope."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": _metadata(obj),
        "spec": _some(obj.get("spec"), "hard", "scopes", "scopeSelector"),
        "status": _some(obj.get("status"), "hard", "used"),
    }


def trim_deployment(obj: Mapping[str, Any]) -> Object:
    """A pool Deployment: replicas, and requests and placement of its pods."""
    spec = obj.get("spec") or {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(obj, labels=_POD_LABELS),
        "spec": {
            "replicas": spec.get("replicas", 1),
            "template": {"spec": _pod_spec((spec.get("template") or {}).get("spec") or {})},
        },
    }


_PLANNED_POD_FIELDS = ("nodeSelector", "tolerations", "resources", "priorityClassName")
_PLANNED_SPEC_FIELDS = frozenset(
    field.alias or name for name, field in GemmaDeploymentSpec.model_fields.items() if name not in ("pod", "weights")
)


def trim_gemma_deployment(obj: Mapping[str, Any]) -> Object:
    """The spec as far as the planner reads it."""
    spec = obj.get("spec") or {}
    kept = {key: value for key, value in spec.items() if key in _PLANNED_SPEC_FIELDS}
    if pod := _some(spec.get("pod"), *_PLANNED_POD_FIELDS):
        kept["pod"] = pod
    if cache := (spec.get("weights") or {}).get("cache"):
        kept["weights"] = {"cache": cache}
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": _metadata(obj), "spec": kept}
