"""Cluster objects as `kubectl get -o json` gives them."""

from collections.abc import Mapping
from typing import Any

from gemma_operator.api import names

Object = dict[str, Any]

GFD: Mapping[str, Mapping[str, str]] = {
    "t4": {
        "nvidia.com/gpu.product": "Tesla-T4",
        "nvidia.com/gpu.memory": "15360",
        "nvidia.com/gpu.compute.major": "7",
        "nvidia.com/gpu.compute.minor": "5",
    },
    "l4": {
        "nvidia.com/gpu.product": "NVIDIA-L4",
        "nvidia.com/gpu.memory": "23034",
        "nvidia.com/gpu.compute.major": "8",
        "nvidia.com/gpu.compute.minor": "9",
    },
    "l40s": {
        "nvidia.com/gpu.product": "NVIDIA-L40S",
        "nvidia.com/gpu.memory": "46068",
        "nvidia.com/gpu.compute.major": "8",
        "nvidia.com/gpu.compute.minor": "9",
    },
    "a100-40": {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB",
        "nvidia.com/gpu.memory": "40960",
        "nvidia.com/gpu.compute.major": "8",
        "nvidia.com/gpu.compute.minor": "0",
    },
    "h100": {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.memory": "81559",
        "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
    },
}


def node(
    name: str,
    *,
    gpu: str | None = "l4",
    gpus: int = 4,
    labels: Mapping[str, str] | None = None,
    resource: str = "nvidia.com/gpu",
    cpu: str = "96",
    memory: str = "760Gi",
    storage: str = "1800Gi",
    pods: int = 110,
    taints: list[Object] | None = None,
    cordoned: bool = False,
    ready: bool = True,
    driver: int | None = None,
) -> Object:
    """A node; `gpu` picks GFD labels, `labels` are added to them."""
    own = {"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, **(GFD[gpu] if gpu else {})}
    if driver is not None:
        own["nvidia.com/cuda.driver.major"] = str(driver)
    allocatable = {"cpu": cpu, "memory": memory, "ephemeral-storage": storage, "pods": str(pods)}
    if gpu or resource != "nvidia.com/gpu" or labels:
        allocatable[resource] = str(gpus)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**own, **(labels or {})}},
        "spec": {**({"taints": taints} if taints else {}), **({"unschedulable": True} if cordoned else {})},
        "status": {
            "allocatable": allocatable,
            "capacity": allocatable,
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True" if ready else "Unknown"},
            ],
        },
    }


def pod(
    name: str,
    *,
    on: str | None = None,
    gpus: int = 0,
    namespace: str = "default",
    resource: str = "nvidia.com/gpu",
    cpu: str = "1",
    memory: str = "1Gi",
    phase: str | None = None,
    deployment: str | None = None,
    pool: int = 0,
    terminating: bool = False,
    **spec: Any,
) -> Object:
    """A pod with one container; `deployment` makes it a replica of a pool."""
    requests = {"cpu": cpu, "memory": memory, **({resource: str(gpus)} if gpus else {})}
    labels = {names.DEPLOYMENT_LABEL: deployment, names.POOL_LABEL: str(pool)} if deployment else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            **({"deletionTimestamp": "2026-11-25T00:00:00Z"} if terminating else {}),
        },
        "spec": {
            **({"nodeName": on} if on else {}),
            "containers": [
                {
                    "name": "main",
                    "image": "registry.example/app:1",
                    "env": [{"name": "TOKEN", "value": "secret"}],
                    "resources": {"requests": requests, "limits": {resource: str(gpus)} if gpus else {}},
                }
            ],
            **spec,
        },
        "status": {"phase": phase or ("Running" if on else "Pending")},
    }


def quota(name: str, *, hard: Mapping[str, str], used: Mapping[str, str] | None = None, **spec: Any) -> Object:
    """A ResourceQuota of namespace `default`."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"hard": dict(hard), **spec},
        "status": {"hard": dict(hard), "used": dict(used or dict.fromkeys(hard, "0"))},
    }


def affinity(terms: list[Object]) -> Object:
    """Required node affinity with OR-ed terms."""
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def term(key: str, *values: str) -> Object:
    """A node selector term: a label with one of some values."""
    return {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}


def pool_deployment(
    name: str, *, replicas: int, gpus: int = 1, terms: list[Object] | None = None, namespace: str = "default"
) -> Object:
    """The Deployment of pool 0 of a GemmaDeployment."""
    made = pod("template", gpus=gpus, affinity=affinity(terms or [term("nvidia.com/gpu.product", "NVIDIA-L4")]))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{name}-0",
            "namespace": namespace,
            "labels": {names.DEPLOYMENT_LABEL: name, names.POOL_LABEL: "0"},
        },
        "spec": {"replicas": replicas, "template": {"spec": made["spec"]}},
    }
