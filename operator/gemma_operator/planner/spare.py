"""Whether a rollout may start a new replica before an old one stops."""

from gemma_operator.inventory.matching import admits
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.serialize import promise_of
from gemma_operator.planner.types import Pool


def has_spare(*, pool: Pool, namespace: str, name: str, inventory: Inventory) -> bool:
    """Whether one replica of the pool fits on free GPUs beside all that runs or is promised, its own included."""
    promise = promise_of(pool, namespace=namespace, name=name, replicas=1)
    return any(
        not node.provisionable
        and not node.unavailable
        and admits(promise.placement, labels=node.labels, taints=node.taints, name=node.name)
        and node.free.holds(promise.requests)
        for node in inventory.nodes
    )
