"""GPUs that a node advertises without having them: its capacity, and the labels of GPU Feature Discovery."""

import json
from dataclasses import dataclass

from localk8s import cluster
from localk8s.console import LocalError

FAMILIES = {
    (7, 0): "volta",
    (7, 5): "turing",
    (8, 0): "ampere",
    (8, 6): "ampere",
    (8, 9): "ada-lovelace",
    (9, 0): "hopper",
    (10, 0): "blackwell",
    (10, 3): "blackwell",
    (12, 0): "blackwell",
}


@dataclass(frozen=True, slots=True)
class Gpus:
    """What a node claims to have."""

    product: str
    memory_mib: int
    count: int
    compute: tuple[int, int]
    driver: str
    cuda: str


def version(text: str) -> tuple[int, int]:
    """Return `8.9` as (8, 9). Raises LocalError on anything else."""
    major, dot, minor = text.partition(".")
    if not (dot and major.isdigit() and minor.isdigit()):
        raise LocalError(f"{text!r} is no version of the form MAJOR.MINOR, e.g. 8.9")
    return int(major), int(minor)


def labels(gpus: Gpus) -> dict[str, str]:
    """Return the labels that GPU Feature Discovery puts on such a node (names: docs of NVIDIA's k8s-device-plugin)."""
    major, minor = gpus.compute
    cuda_major, cuda_minor = version(gpus.cuda)
    driver_major, driver_minor, driver_revision = [*gpus.driver.split("."), "00", "00"][:3]
    return {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": gpus.product,
        "nvidia.com/gpu.memory": str(gpus.memory_mib),
        "nvidia.com/gpu.count": str(gpus.count),
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.sharing-strategy": "none",
        "nvidia.com/gpu.family": FAMILIES.get(gpus.compute, "undefined"),
        "nvidia.com/gpu.compute.major": str(major),
        "nvidia.com/gpu.compute.minor": str(minor),
        "nvidia.com/gpu.machine": "local",
        "nvidia.com/mig.capable": str(gpus.compute in ((8, 0), (9, 0), (10, 0))).lower(),
        "nvidia.com/mps.capable": "false",
        "nvidia.com/cuda.driver.major": driver_major,
        "nvidia.com/cuda.driver.minor": driver_minor,
        "nvidia.com/cuda.driver.rev": driver_revision,
        "nvidia.com/cuda.driver-version.full": gpus.driver,
        "nvidia.com/cuda.driver-version.major": driver_major,
        "nvidia.com/cuda.driver-version.minor": driver_minor,
        "nvidia.com/cuda.driver-version.revision": driver_revision,
        "nvidia.com/cuda.runtime.major": str(cuda_major),
        "nvidia.com/cuda.runtime.minor": str(cuda_minor),
        "nvidia.com/cuda.runtime-version.full": gpus.cuda,
        "nvidia.com/cuda.runtime-version.major": str(cuda_major),
        "nvidia.com/cuda.runtime-version.minor": str(cuda_minor),
    }


def advertise(name: str, *, node: str, gpus: Gpus) -> None:
    """Make a real node of a cluster advertise GPUs, so that the scheduler counts them; `count` 0 takes them away.

    The kubelet keeps the number until it starts anew; then this must be called again.
    """
    wanted: dict[str, str | None] = dict(labels(gpus))
    if gpus.count == 0:
        wanted = dict.fromkeys(wanted, None)
    quantity = str(gpus.count) if gpus.count else None
    resources = {key: {"nvidia.com/gpu": quantity} for key in ("capacity", "allocatable")}
    patch = ["patch", "node", node, "--type=merge", "-p"]
    cluster.kubectl(name, *patch, json.dumps({"status": resources}), "--subresource=status")
    cluster.kubectl(name, *patch, json.dumps({"metadata": {"labels": wanted}}))
