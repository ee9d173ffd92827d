"""Nodes that kwok fakes, labelled as the platforms label real ones."""

from typing import Any

Object = dict[str, Any]


def node(
    name: str,
    *,
    labels: dict[str, str] | None = None,
    resources: dict[str, int] | None = None,
    taints: list[dict[str, str]] | None = None,
    cpu: str = "64",
    memory: str = "512Gi",
    storage: str = "1000Gi",
    unschedulable: bool = False,
    pod_cidr: str = "",
) -> Object:
    """A fake node; `resources` are its extended resources, `pod_cidr` where its pods get addresses from."""
    capacity = {"cpu": cpu, "memory": memory, "ephemeral-storage": storage, "pods": "110"}
    capacity.update({resource: str(count) for resource, count in (resources or {}).items()})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                **(labels or {}),
            },
        },
        "spec": {
            "taints": taints or [],
            "unschedulable": unschedulable,
            **({"podCIDR": pod_cidr} if pod_cidr else {}),
        },
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def gfd(name: str, *, product: str, memory: int, compute: str, count: int, **kwargs: Any) -> Object:
    """A node labelled by NVIDIA's GPU feature discovery; `memory` in MiB."""
    major, minor = compute.split(".")
    labels = {
        "nvidia.com/gpu.product": product,
        "nvidia.com/gpu.memory": str(memory),
        "nvidia.com/gpu.count": str(count),
        "nvidia.com/gpu.compute.major": major,
        "nvidia.com/gpu.compute.minor": minor,
        "nvidia.com/cuda.driver-version.major": "580",
        "nvidia.com/cuda.driver-version.full": "580.95.05",
        **kwargs.pop("labels", {}),
    }
    return node(name, labels=labels, resources={"nvidia.com/gpu": count}, **kwargs)


def l4(name: str, *, count: int = 4, **kwargs: Any) -> Object:
    """A node with L4s."""
    return gfd(name, product="NVIDIA-L4", memory=23034, compute="8.9", count=count, **kwargs)


def h100(name: str, *, count: int = 8, **kwargs: Any) -> Object:
    """A node with H100s."""
    return gfd(name, product="NVIDIA-H100-80GB-HBM3", memory=81559, compute="9.0", count=count, **kwargs)


def a100_40(name: str, *, count: int = 8, **kwargs: Any) -> Object:
    """A node with A100s of 40 GB."""
    return gfd(name, product="NVIDIA-A100-SXM4-40GB", memory=40960, compute="8.0", count=count, **kwargs)


def l40s(name: str, *, count: int = 4, **kwargs: Any) -> Object:
    """A node with L40Ss."""
    return gfd(name, product="NVIDIA-L40S", memory=46068, compute="8.9", count=count, **kwargs)


def t4(name: str, *, count: int = 4, **kwargs: Any) -> Object:
    """A node with T4s, on which vLLM cannot run Gemma 4."""
    return gfd(name, product="Tesla-T4", memory=15360, compute="7.5", count=count, **kwargs)


def gke(name: str, *, accelerator: str, count: int, **kwargs: Any) -> Object:
    """A GKE node: its own label and taint, no feature discovery."""
    return node(
        name,
        labels={"cloud.google.com/gke-accelerator": accelerator},
        resources={"nvidia.com/gpu": count},
        taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
        **kwargs,
    )


def karpenter(name: str, *, gpu: str, memory: int, count: int, instance: str, **kwargs: Any) -> Object:
    """An EKS node made by Karpenter; `memory` in MiB."""
    labels = {
        "karpenter.k8s.aws/instance-gpu-name": gpu,
        "karpenter.k8s.aws/instance-gpu-count": str(count),
        "karpenter.k8s.aws/instance-gpu-memory": str(memory),
        "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia",
        "node.kubernetes.io/instance-type": instance,
    }
    return node(name, labels=labels, resources={"nvidia.com/gpu": count}, **kwargs)


def aks(name: str, *, instance: str, count: int, **kwargs: Any) -> Object:
    """An AKS node with the taint that users give GPU pools."""
    labels = {"kubernetes.azure.com/accelerator": "nvidia", "node.kubernetes.io/instance-type": instance}
    taints = [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]
    return node(name, labels=labels, resources={"nvidia.com/gpu": count}, taints=taints, **kwargs)


def mig(name: str, *, profile: str, product: str, memory: int, count: int, **kwargs: Any) -> Object:
    """A node whose A100s or H100s are cut by the mixed MIG strategy."""
    prefix = f"nvidia.com/mig-{profile}"
    labels = {
        "nvidia.com/mig.strategy": "mixed",
        "nvidia.com/mig.capable": "true",
        "nvidia.com/cuda.driver-version.major": "580",
        f"{prefix}.product": product,
        f"{prefix}.memory": str(memory),
        f"{prefix}.count": str(count),
    }
    return node(name, labels=labels, resources={prefix: count}, **kwargs)


def plain(name: str, **kwargs: Any) -> Object:
    """A node without GPUs, for routers."""
    return node(name, **kwargs)
