"""How many replicas of a pool that runs could run: the bound of every scaling decision."""

from dataclasses import dataclass, replace

from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.inventory.matching import admits
from gemma_operator.inventory.quotas import applies, give_back, taken
from gemma_operator.inventory.types import Amounts, Inventory, Node, Placement
from gemma_operator.planner.serialize import promise_of
from gemma_operator.planner.types import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Replicas that could run, those that run included."""

    free: int
    """On nodes that exist."""
    provisionable: int
    """More, on nodes that an autoscaler would add."""
    limit: str
    """What ends it, for people."""

    @property
    def total(self) -> int:
        """On nodes that exist or would be added."""
        return self.free + self.provisionable


def room(*, pool: Pool, spec: GemmaDeploymentSpec, namespace: str, name: str, inventory: Inventory) -> Room:
    """Replicas of a pool that GPUs, the rest of their nodes and the namespace's quotas allow.

    What the deployment itself holds counts as free; what is promised to others does not.
    """
    promise = promise_of(pool, namespace=namespace, name=name, replicas=1)
    free = added = 0
    for node in inventory.nodes:
        if node.unavailable or not _takes(node, pool=pool, placement=promise.placement):
            continue
        fits = node.count * node.free_for(promise.owner).holds(promise.requests)
        free, added = (free, added + fits) if node.provisionable else (free + fits, added)
    limit = f"no more free {pool.accelerator}" if pool.resource else "no more free CPU or memory"
    held = inventory.quota_held.get(promise.owner, Amounts())
    for quota in inventory.quotas.get(namespace, ()):
        if not applies(quota, priority_class=spec.pod.priority_class_name):
            continue
        for resource, left in give_back(quota, held).left.items():
            each = taken(resource, promise.requests)
            if each and left // each < free + added:
                allowed = max(left // each, 0)
                free, added = min(free, allowed), max(0, allowed - free)
                limit = f"ResourceQuota {quota.name} leaves no more {resource}"
    return Room(free=free, provisionable=added, limit=limit)


def _takes(node: Node, *, pool: Pool, placement: Placement) -> bool:
    if node.provisionable:
        # Its labels are what configuration says of them, which need not be all that it will carry.
        if not any(each.accelerator.name == pool.accelerator for each in node.carries):
            return False
        placement = replace(placement, terms=())
    return admits(placement, labels=node.labels, taints=node.taints, name=node.name)


def affordable(*, pool: Pool, spec: GemmaDeploymentSpec) -> int | None:
    """Replicas that `maxCostPerHour` allows; `None` without a cap or a price."""
    if spec.max_cost_per_hour is None or not pool.cost_per_hour:
        return None
    # A cap of exactly n prices must allow n, whatever binary fractions make of it.
    return int(spec.max_cost_per_hour / pool.cost_per_hour + 1e-9)
