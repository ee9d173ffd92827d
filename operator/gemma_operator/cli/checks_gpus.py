"""Checks of `kubectl gemma doctor`: GPUs, their labels, drivers and nodes. Pure."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from gemma_operator.catalog.identify import identify
from gemma_operator.catalog.images import image_for
from gemma_operator.cli.findings import Case, Check, fail, hidden, ok, some, warn
from gemma_operator.inventory.quantity import whole
from gemma_operator.planner.text import count

_GPU_LABELS: Final = (
    "nvidia.com/gpu.product",
    "nvidia.com/gpu.present",
    "cloud.google.com/gke-accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "eks.amazonaws.com/instance-gpu-name",
    "kubernetes.azure.com/accelerator",
    "gpu.nvidia.com/class",
    "amd.com/gpu.product-name",
)
"""Labels that only nodes with GPUs carry."""
_GPU_RESOURCES: Final = ("nvidia.com/", "amd.com/gpu")


def gpus(case: Case) -> Iterator[Check]:
    """GPUs that the planner knows."""
    if case.inventory is None:
        yield from hidden(case, "gpus", "nodes")
        return
    carried: Counter[str] = Counter()
    free: Counter[str] = Counter()
    for node in case.inventory.nodes:
        for each in node.carries:
            if each.resource and not node.provisionable:
                carried[each.accelerator.name] += node.allocatable.devices.get(each.resource, 0)
                if not node.unavailable:
                    free[each.accelerator.name] += max(0, node.free.devices.get(each.resource, 0))
    if carried:
        found = ", ".join(f"{free[row]} of {total} {row}" for row, total in sorted(carried.items()))
        yield ok("gpus", f"free: {found}")
        yield from hidden(case, "gpus", "pods")
    elif any(node.provisionable for node in case.inventory.nodes):
        yield ok("gpus", "none yet: the configuration says that nodes would be added")
    else:
        yield fail(
            "gpus",
            "no node carries a GPU that the planner knows",
            "add GPU nodes, describe them under provisionable in the operator's configuration, or list cpu in "
            "spec.accelerators",
        )


def device_plugin(case: Case) -> Iterator[Check]:
    """Nodes with GPUs that nobody hands out, or that nobody can name."""
    for node in case.seen.nodes or ():
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        resources = [each for each in allocatable if each.startswith(_GPU_RESOURCES) and whole(allocatable[each])]
        marks = [label for label in _GPU_LABELS if label in labels and labels[label] != "false"]
        if marks and not resources:
            yield fail(
                "device plugin",
                f"node {name} has the label {marks[0]} and advertises no GPU",
                "install the NVIDIA device plugin or GPU operator (AMD: its device plugin), and look at its pod there",
            )
        elif resources and not identify(labels=labels, resources=resources, catalog=case.catalog):
            yield fail(
                "gpu labels",
                f"node {name} advertises {', '.join(sorted(resources))} and no label says what GPU that is",
                "run GPU feature discovery, or add the row with its labels under accelerators in the operator's "
                "configuration",
            )


def drivers(case: Case) -> Iterator[Check]:
    """Whether drivers run the engine's image."""
    if case.inventory is None:
        return
    told, silent = [], []
    for node in case.inventory.nodes:
        rows = [each.accelerator for each in node.carries if each.resource and each.accelerator.vendor == "nvidia"]
        if not rows or node.provisionable or "nvidia" in case.config.engine.images:
            continue
        if node.driver is None:
            silent.append(node.name)
            continue
        told.append(node.name)
        try:
            image_for(
                case.catalog,
                engine="vllm",
                version=case.config.engine.version,
                vendor="nvidia",
                host_architecture=rows[0].host_architecture,
                driver=node.driver,
            )
        except LookupError as error:
            yield fail("drivers", f"node {node.name}: {error.args[0]}", "upgrade the driver, or lower engine.version")
            told.pop()
    if told:
        yield ok("drivers", f"{count(len(told), 'node')} can run vLLM {case.config.engine.version}")
    if silent:
        yield warn(
            "drivers",
            f"no label tells the driver of {some(silent)}: the image with the newest CUDA is taken",
            "run GPU feature discovery there, or see that the driver is new enough",
        )


def nodes(case: Case) -> Iterator[Check]:
    """GPU nodes that take no pods."""
    if case.inventory is None:
        return
    tolerations = case.config.engine.tolerations
    for node in case.inventory.nodes:
        if node.provisionable or not any(each.resource for each in node.carries):
            continue
        if node.unavailable:
            how = (
                f"kubectl uncordon {node.name}"
                if node.unavailable == "cordoned"
                else f"kubectl describe node {node.name}"
            )
            yield warn("nodes", f"node {node.name} has GPUs and is {node.unavailable}", how)
        unusual = [taint for taint in node.taints if taint.key not in ("nvidia.com/gpu", "amd.com/gpu")]
        if unusual and not tolerations:
            taints = ", ".join(map(str, unusual))
            yield warn(
                "nodes",
                f"node {node.name} has GPUs and the taint {taints}",
                "tolerate it in spec.pod.tolerations, or in engine.tolerations of the operator's configuration",
            )
