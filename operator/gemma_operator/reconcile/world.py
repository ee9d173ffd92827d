"""What a reconcile may look at and act through: caches, client, configuration, promises."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.catalog.types import Catalog
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.resources import OWNED, PODS, Object, Resource
from gemma_operator.cluster.store import Key, Store
from gemma_operator.inventory.build import FactsMemo
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.types import Plan, Pool
from gemma_operator.reconcile.diagnosis import Diagnosis
from gemma_operator.reconcile.events import EventRecorder
from gemma_operator.reconcile.replicas import Scaler


@dataclass(slots=True)
class World:
    """Shared by all workers of the process."""

    client: Client
    config: OperatorConfig
    catalog: Catalog
    events: EventRecorder
    stores: dict[Resource, Store]
    operator_namespace: str
    router_code: Mapping[str, str]
    """Source files of gemma_router, by name."""
    memo: FactsMemo = field(default_factory=FactsMemo)
    planning: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while pools are chosen and GPUs promised: one planner at a time for the whole fleet."""
    stock: tuple[tuple[object, ...], Inventory] | None = None
    """The last inventory, and what it was built from."""
    promises: dict[Key, tuple[Pool, ...]] = field(default_factory=dict)
    """Pools that were chosen and whose Deployment may not be in the cache yet."""
    planned: dict[Key, tuple[Plan, str]] = field(default_factory=dict)
    """Plans of the last batch with the digest of their inputs, until the worker of their key takes them."""
    router_problems: dict[Key, Diagnosis] = field(default_factory=dict)
    """What keeps a router's objects from being applied, by namespace and router name."""
    reads: OrderedDict[tuple[str, int], tuple[str, str]] = field(default_factory=OrderedDict)
    """Log and last warning of failed containers, by pod uid and restart count: read once per failure."""
    scalers: dict[Key, Scaler] = field(default_factory=dict)
    """What the scaler of each GemmaDeployment remembers."""
    leading_since: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When this process began to scale: of a pod from before, the first Ready may be one of many."""
    rerouted: set[Key] = field(default_factory=set)
    """Routers whose routes changed with a plan. The watch does not tell: it brings our own writes, which are cached."""
    rendered: dict[Key, tuple[tuple[object, ...], list[Object]]] = field(default_factory=dict)
    """What was last rendered for a GemmaDeployment, and from what: most reconciles look at the same again."""
    manifests: dict[Key, tuple[tuple[object, ...], list[Object], str]] = field(default_factory=dict)
    """What should exist for it, and from what: what was rendered, or the manifest kept on its pool; and in what that
    one is outdated."""
    blocked: set[Key] = field(default_factory=set)
    """GemmaDeployments without a plan: looked at again when nodes, pods or quotas change."""

    def owned(self, *, namespace: str, label: str, value: str) -> list[Object]:
        """Cached objects that the operator applied in a namespace and that carry a label."""
        return [obj for resource in OWNED for obj in self.stores[resource].by((namespace, label, value))]

    def pods(self, *, namespace: str, label: str, value: str) -> list[Object]:
        """Cached pods in a namespace that carry a label."""
        return self.stores[PODS].by((namespace, label, value))


def label_index(obj: Object) -> list[tuple[str, str, str]]:
    """Index of a store by the labels that name a GemmaDeployment or a router."""
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    namespace = metadata.get("namespace") or ""
    return [
        (namespace, label, labels[label]) for label in (names.DEPLOYMENT_LABEL, names.ROUTER_LABEL) if label in labels
    ]


def is_ours(obj: Object, *, uid: str) -> bool:
    """Whether an owner of that uid is among the object's owners."""
    return any(reference.get("uid") == uid for reference in obj["metadata"].get("ownerReferences") or ())


def managed(obj: Object) -> bool:
    """Whether the object carries our label."""
    return bool((obj["metadata"].get("labels") or {}).get(names.MANAGED_BY_LABEL) == names.MANAGER)
