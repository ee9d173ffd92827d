"""Kubernetes objects, whole or trimmed, as the values that the ledger works with."""

import json
from collections.abc import Mapping
from typing import Any, Final

from gemma_operator.api import names
from gemma_operator.api.config import Provisionable, StaticNodes
from gemma_operator.catalog.types import Accelerator
from gemma_operator.inventory.quantity import millis, whole
from gemma_operator.inventory.requests import amounts, pod_requests
from gemma_operator.inventory.types import (
    UNLIMITED,
    Amounts,
    NodeFacts,
    Placement,
    PodFacts,
    Promise,
    Quota,
    Taint,
)

_BLOCKING: Final = ("NoSchedule", "NoExecute")
_CORDON: Final = "node.kubernetes.io/unschedulable"
_TERMINAL: Final = ("Succeeded", "Failed")
_PODS_PER_NODE: Final = 110


def _taints(taints: Any) -> tuple[Taint, ...]:
    found = (
        Taint(key=each.get("key", ""), value=each.get("value") or "", effect=each.get("effect", "NoSchedule"))
        for each in taints or ()
    )
    return tuple(
        sorted(
            (taint for taint in found if taint.effect in _BLOCKING and taint.key != _CORDON),
            key=lambda taint: (taint.key, taint.value, taint.effect),
        )
    )


def node_facts(obj: Mapping[str, Any]) -> NodeFacts:
    """A node. What its `allocatable` does not name limits nothing, except devices."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    resources = status.get("allocatable") or status.get("capacity") or {}
    conditions = status.get("conditions")
    taints = spec.get("taints") or ()
    return NodeFacts(
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        taints=_taints(taints),
        ready=not conditions or any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions),
        cordoned=bool(spec.get("unschedulable")) or any(taint.get("key") == _CORDON for taint in taints),
        allocatable=amounts(
            resources, pods=whole(resources["pods"]) if "pods" in resources else UNLIMITED, missing=UNLIMITED
        ),
    )


def configured_facts(entry: Provisionable | StaticNodes, *, accelerator: Accelerator, name: str) -> NodeFacts:
    """A node of a kind that the configuration describes."""
    return NodeFacts(
        name=name,
        labels=entry.labels,
        taints=_taints(entry.taints),
        ready=True,
        cordoned=False,
        allocatable=Amounts(
            cpu_millis=millis(entry.cpu),
            memory=whole(entry.memory),
            ephemeral=whole(entry.ephemeral_storage),
            pods=_PODS_PER_NODE,
            devices={accelerator.resource: entry.gpus_per_node} if accelerator.resource else {},
        ),
    )


def placement(spec: Mapping[str, Any]) -> Placement:
    """Where a pod with this spec may go."""
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    return Placement(
        selector=spec.get("nodeSelector") or {},
        terms=tuple(affinity.get("nodeSelectorTerms") or ()),
        tolerations=tuple(spec.get("tolerations") or ()),
    )


def pod_facts(obj: Mapping[str, Any]) -> PodFacts:
    """A pod."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    labels = metadata.get("labels") or {}
    deployment, node = labels.get(names.DEPLOYMENT_LABEL, ""), spec.get("nodeName") or ""
    if names.POOL_LABEL not in labels:
        deployment = ""
    return PodFacts(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        node=node,
        deployment=deployment,
        pool=int(labels[names.POOL_LABEL]) if deployment else 0,
        terminal=(obj.get("status") or {}).get("phase") in _TERMINAL,
        terminating=bool(metadata.get("deletionTimestamp")),
        requests=pod_requests(spec),
        placement=placement(spec),
    )


def signature(requests: Amounts, where: Placement) -> str:
    """What makes two replicas of a pool alike: their devices and their node selector terms."""
    return json.dumps([dict(requests.devices), list(where.terms)], sort_keys=True, separators=(",", ":"))


def deployment_promise(obj: Mapping[str, Any]) -> Promise | None:
    """What the Deployment of a pool claims; `None` for a Deployment that is no pool."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    labels = metadata.get("labels") or {}
    if names.POOL_LABEL not in labels or names.DEPLOYMENT_LABEL not in labels or metadata.get("deletionTimestamp"):
        return None
    pod = (spec.get("template") or {}).get("spec") or {}
    replicas = spec.get("replicas")
    return Promise(
        namespace=metadata.get("namespace") or "",
        name=labels[names.DEPLOYMENT_LABEL],
        pool=int(labels[names.POOL_LABEL]),
        replicas=1 if replicas is None else int(replicas),
        requests=pod_requests(pod),
        placement=placement(pod),
    )


def quota(obj: Mapping[str, Any]) -> Quota | None:
    """A ResourceQuota; `None` when its scopes leave engine pods out."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    classes: tuple[str, ...] | None = None
    for scope in spec.get("scopes") or ():
        if scope in ("BestEffort", "Terminating"):
            return None
    for expression in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        match expression.get("scopeName"), expression.get("operator"):
            case (("BestEffort" | "Terminating"), _):
                return None
            case "PriorityClass", "In":
                classes = tuple(expression.get("values") or ())
            case "PriorityClass", "DoesNotExist":
                classes = ("",)
    hard, used = status.get("hard") or spec.get("hard") or {}, status.get("used") or {}
    return Quota(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        left={name: _amount(name, hard[name]) - _amount(name, used.get(name, 0)) for name in sorted(hard)},
        priority_classes=classes,
    )


def _amount(resource: str, quantity: str | int) -> int:
    return millis(quantity) if resource.rsplit(".", 1)[-1] == "cpu" else whole(quantity)
