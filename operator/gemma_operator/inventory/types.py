"""What the planner knows of a cluster, as plain values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gemma_operator.catalog.types import Accelerator

DeploymentKey = tuple[str, str]
"""Namespace and name of a GemmaDeployment."""

UNLIMITED: Final = 1 << 62
"""Amount of a resource that a node does not report: it limits nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Resources of a node, or that a pod asks for: CPU in thousandths, memory and storage in bytes."""

    cpu_millis: int = 0
    memory: int = 0
    ephemeral: int = 0
    pods: int = 0
    devices: Mapping[str, int] = field(default_factory=dict)
    """Extended resources such as `nvidia.com/gpu`."""

    def plus(self, other: "Amounts", *, times: int = 1) -> "Amounts":
        """These and `times` the other."""
        devices = dict(self.devices)
        for resource, count in other.devices.items():
            devices[resource] = devices.get(resource, 0) + times * count
        return Amounts(
            cpu_millis=self.cpu_millis + times * other.cpu_millis,
            memory=self.memory + times * other.memory,
            ephemeral=self.ephemeral + times * other.ephemeral,
            pods=self.pods + times * other.pods,
            devices=devices,
        )

    def minus(self, other: "Amounts") -> "Amounts":
        """These without the other; an overcommitted amount is negative."""
        return self.plus(other, times=-1)

    def overlap(self, other: "Amounts") -> "Amounts":
        """The smaller of both, resource by resource."""
        return Amounts(
            cpu_millis=min(self.cpu_millis, other.cpu_millis),
            memory=min(self.memory, other.memory),
            ephemeral=min(self.ephemeral, other.ephemeral),
            pods=min(self.pods, other.pods),
            devices={name: min(self.devices.get(name, 0), count) for name, count in other.devices.items()},
        )

    def holds(self, other: "Amounts") -> int:
        """How many times the other fits."""
        room = UNLIMITED
        if other.cpu_millis:
            room = min(room, self.cpu_millis // other.cpu_millis)
        if other.memory:
            room = min(room, self.memory // other.memory)
        if other.ephemeral:
            room = min(room, self.ephemeral // other.ephemeral)
        if other.pods:
            room = min(room, self.pods // other.pods)
        for resource, count in other.devices.items():
            if count:
                room = min(room, self.devices.get(resource, 0) // count)
        return max(room, 0)


@dataclass(slots=True)
class Sum:
    """Amounts that are added up in place: thousands of pods, one total for each node."""

    cpu_millis: int = 0
    memory: int = 0
    ephemeral: int = 0
    pods: int = 0
    devices: dict[str, int] = field(default_factory=dict)

    def add(self, other: Amounts) -> None:
        """Add to the total."""
        self.cpu_millis += other.cpu_millis
        self.memory += other.memory
        self.ephemeral += other.ephemeral
        self.pods += other.pods
        for resource, count in other.devices.items():
            self.devices[resource] = self.devices.get(resource, 0) + count

    def amounts(self) -> Amounts:
        """The total."""
        return Amounts(
            cpu_millis=self.cpu_millis,
            memory=self.memory,
            ephemeral=self.ephemeral,
            pods=self.pods,
            devices=self.devices,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A taint that keeps pods away; `PreferNoSchedule` is none."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a pod may go."""

    selector: Mapping[str, str] = field(default_factory=dict)
    terms: tuple[dict[str, Any], ...] = ()
    """OR-ed node selector terms; empty: every node."""
    tolerations: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """A node object, parsed."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    ready: bool
    cordoned: bool
    allocatable: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """A pod object, parsed."""

    namespace: str
    name: str
    node: str
    """Empty: not bound."""
    deployment: str
    """Name of the GemmaDeployment; empty: not of ours."""
    pool: int
    terminal: bool
    terminating: bool
    requests: Amounts
    placement: Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A ResourceQuota: what is left of each resource that it limits."""

    namespace: str
    name: str
    left: Mapping[str, int]
    """Resource name as in the quota → amount; CPU in thousandths."""
    priority_classes: tuple[str, ...] | None
    """Only pods of these priority classes count; `None`: every pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Replicas that were promised to a pool: pods for them may not exist, or not be bound."""

    namespace: str
    name: str
    pool: int
    replicas: int
    requests: Amounts
    """Of one replica, its pod slot included."""
    placement: Placement

    @property
    def owner(self) -> DeploymentKey:
        """The GemmaDeployment."""
        return self.namespace, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """An accelerator that a node carries, and the resource that hands it out."""

    accelerator: Accelerator
    resource: str | None
    terms: tuple[dict[str, Any], ...] = ()
    """Node selector terms that mean this accelerator on this node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node, or `count` equal nodes that an autoscaler would add."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unavailable: str
    """Why nothing can be placed here: `cordoned` or `NotReady`; empty: it can."""
    allocatable: Amounts
    free: Amounts
    """Allocatable less bound pods less claims; `held` is not added back."""
    held: Mapping[DeploymentKey, Mapping[str, Amounts]]
    """What each GemmaDeployment has here, bound or claimed, by signature of the replicas: free for itself."""
    carries: tuple[Carried, ...]
    driver: int | None
    """Major version of the NVIDIA driver, where a label says it."""
    provisionable: bool = False
    count: int = 1

    def free_for(self, owner: DeploymentKey) -> Amounts:
        """What the GemmaDeployment may use here."""
        room = self.free
        for held in self.held.get(owner, {}).values():
            room = room.plus(held)
        return room


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Nodes with what is free on them, and what quotas leave. Immutable."""

    nodes: tuple[Node, ...]
    """By name, those that exist first."""
    quotas: Mapping[str, tuple[Quota, ...]]
    """Namespace → quotas by name, claims without a pod subtracted."""
    quota_held: Mapping[DeploymentKey, Amounts]
    """What pods and claims of each GemmaDeployment take from quotas."""
    accelerators: Mapping[str, Accelerator]
    """Rows that some node carries or would carry, `cpu` included."""
    by_accelerator: Mapping[str, tuple[int, ...]]
    """Row → indexes into `nodes`."""
    counted: Mapping[tuple[str, str, int, str], int]
    """Namespace, name, pool and signature of a promise → replicas that pods and claims already stand for."""

    def carrying(self, accelerator: str) -> Iterable[Node]:
        """Nodes that carry a row."""
        return (self.nodes[index] for index in self.by_accelerator.get(accelerator, ()))
