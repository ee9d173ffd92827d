"""What a pod asks of its node, as the scheduler counts it.

Rules of k8s.io/component-helpers/resource `PodRequests`: containers add up; a restartable init container (sidecar)
runs beside them; an ordinary init container runs alone with the sidecars started before it, so that it counts only
where it is larger; overhead comes on top; a limit without a request is a request; pod-level requests win.
"""

from collections.abc import Mapping
from typing import Any

from gemma_operator.inventory.quantity import millis, whole
from gemma_operator.inventory.types import Amounts

_CORE = ("cpu", "memory", "ephemeral-storage")


def amounts(resources: Mapping[str, Any], *, pods: int = 0, missing: int = 0) -> Amounts:
    """A resource list as amounts; `missing` stands for CPU, memory or storage that the list does not name."""
    devices = {
        name: whole(quantity)
        for name, quantity in resources.items()
        if "/" in name and not name.startswith("kubernetes.io/")
    }
    cpu, memory, ephemeral = (resources.get(name) for name in _CORE)
    return Amounts(
        cpu_millis=missing if cpu is None else millis(cpu),
        memory=missing if memory is None else whole(memory),
        ephemeral=missing if ephemeral is None else whole(ephemeral),
        pods=pods,
        devices=devices,
    )


def _container(container: Mapping[str, Any]) -> Amounts:
    resources = container.get("resources") or {}
    return amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _larger(one: Amounts, other: Amounts) -> Amounts:
    return Amounts(
        cpu_millis=max(one.cpu_millis, other.cpu_millis),
        memory=max(one.memory, other.memory),
        ephemeral=max(one.ephemeral, other.ephemeral),
        pods=max(one.pods, other.pods),
        devices={
            name: max(one.devices.get(name, 0), other.devices.get(name, 0)) for name in {*one.devices, *other.devices}
        },
    )


def pod_requests(spec: Mapping[str, Any]) -> Amounts:
    """Requests of a pod spec, its pod slot included."""
    total = Amounts(pods=1)
    for container in spec.get("containers") or ():
        total = total.plus(_container(container))
    if inits := spec.get("initContainers"):
        sidecars, peak = Amounts(), Amounts()
        for container in inits:
            asked = _container(container)
            if container.get("restartPolicy") == "Always":
                total, sidecars = total.plus(asked), sidecars.plus(asked)
                peak = _larger(peak, sidecars)
            else:
                peak = _larger(peak, sidecars.plus(asked))
        total = _larger(total, peak)
    if whole_pod := spec.get("resources"):
        asked = _container({"resources": whole_pod})
        total = Amounts(
            cpu_millis=asked.cpu_millis or total.cpu_millis,
            memory=asked.memory or total.memory,
            ephemeral=total.ephemeral,
            pods=1,
            devices=total.devices,
        )
    if overhead := spec.get("overhead"):
        total = total.plus(amounts(overhead))
    return total
