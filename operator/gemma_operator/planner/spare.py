"""Whether a rollout may start a new replica before an old one stops."""

from gemma_operator.inventory.matching import admits
from gemma_operator.inventory.quotas import applies, taken
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.serialize import promise_of
from gemma_operator.planner.types import Pool


def has_spare(
    *, pool: Pool, namespace: str, name: str, inventory: Inventory, priority_class: str | None = None
) -> bool:
    """Whether GPUs and quotas allow one replica of the pool beside all that runs or is promised, its own included."""
    promise = promise_of(pool, namespace=namespace, name=name, replicas=1)
    for quota in inventory.quotas.get(namespace, ()):
        if applies(quota, priority_class=priority_class) and any(
            0 < taken(resource, promise.requests) > left for resource, left in quota.left.items()
        ):
            return False
    return any(
        not node.provisionable
        and not node.unavailable
        and admits(promise.placement, labels=node.labels, taints=node.taints, name=node.name)
        and node.free.holds(promise.requests)
        for node in inventory.nodes
    )
