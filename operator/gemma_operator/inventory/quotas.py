"""ResourceQuota arithmetic: what an engine pod takes from each resource that a quota limits."""

from dataclasses import replace

from gemma_operator.inventory.types import Amounts, Quota


def taken(resource: str, asked: Amounts) -> int:
    """What `asked` takes from a quota's resource.

    Engine pods have memory and storage limits equal to their requests, and no CPU limit.
    """
    if resource in ("pods", "count/pods"):
        return asked.pods
    match resource.removeprefix("requests.").removeprefix("limits."):
        case "cpu":
            return 0 if resource.startswith("limits.") else asked.cpu_millis
        case "memory":
            return asked.memory
        case "ephemeral-storage":
            return asked.ephemeral
        case device:
            return asked.devices.get(device, 0) if resource.startswith("requests.") else 0


def charge(quota: Quota, asked: Amounts) -> Quota:
    """The quota after `asked` was taken."""
    return replace(quota, left={name: left - taken(name, asked) for name, left in quota.left.items()})


def give_back(quota: Quota, held: Amounts) -> Quota:
    """The quota as it would be without what is held."""
    return replace(quota, left={name: left + taken(name, held) for name, left in quota.left.items()})


def applies(quota: Quota, *, priority_class: str | None) -> bool:
    """Whether a pod of that priority class counts."""
    return quota.priority_classes is None or (priority_class or "") in quota.priority_classes
