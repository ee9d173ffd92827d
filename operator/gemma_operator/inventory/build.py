"""Cluster objects → Inventory: what every node carries, what is free on it, what is promised, what quotas leave."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gemma_operator.api.config import OperatorConfig
from gemma_operator.catalog.types import Accelerator, Catalog
from gemma_operator.inventory import parse
from gemma_operator.inventory.ledger import Ledger
from gemma_operator.inventory.nodes import node_of, provisionable_nodes, static_nodes
from gemma_operator.inventory.quotas import charge
from gemma_operator.inventory.types import (
    Amounts,
    DeploymentKey,
    Inventory,
    Placement,
    PodFacts,
    Promise,
    Quota,
    Sum,
)

Object = Mapping[str, Any]
T = TypeVar("T")
Counted = Mapping[tuple[str, str, int, str], int]


class FactsMemo:
    """Remembers what was parsed from objects with a uid and a resource version. Keep one per process and catalog."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Any] = {}
        self._used: dict[tuple[str, str, str], Any] = {}

    def get(self, kind: str, obj: Object, make: Callable[[Object], T]) -> T:
        """What `make` gives for the object, made once."""
        metadata = obj["metadata"]
        uid, version = metadata.get("uid"), metadata.get("resourceVersion")
        if not uid or not version:
            return make(obj)
        key = (kind, uid, version)
        found: T = self._known[key] if key in self._known else make(obj)
        self._used[key] = found
        return found

    def forget_unused(self) -> None:
        """Drop what was not asked for since the last call."""
        self._known, self._used = self._used, {}


@dataclass(frozen=True, slots=True)
class _Claim:
    requests: Amounts
    placement: Placement
    owner: DeploymentKey | None
    replicas: int
    name: tuple[str, ...]
    """For a stable order."""
    podless: bool
    """No pod stands for it yet, so that no quota counts it."""
    signature: str = ""
    bound: bool = False
    """A pod that runs on a node that is not known by name."""


@dataclass(slots=True)
class _Claims:
    claims: list[_Claim] = field(default_factory=list)
    counted: dict[tuple[str, str, int, str], int] = field(default_factory=dict)

    def add_promises(self, promises: Iterable[Promise]) -> None:
        """Claim the replicas that nothing counted stands for."""
        wanted: dict[tuple[str, str, int, str], Promise] = {}
        for each in promises:
            key = (each.namespace, each.name, each.pool, parse.signature(each.requests, each.placement))
            if key not in wanted or wanted[key].replicas < each.replicas:
                wanted[key] = each
        for key, each in sorted(wanted.items(), key=lambda item: item[0]):
            have = self.counted.get(key, 0)
            if each.replicas > have:
                name = (each.namespace, each.name, str(each.pool), key[-1])
                missing = each.replicas - have
                self.claims.append(
                    _Claim(each.requests, each.placement, each.owner, missing, name, podless=True, signature=key[-1])
                )
                self.counted[key] = each.replicas

    def largest_first(self) -> list[_Claim]:
        """The order in which claims are placed: those that have their place already come first."""
        return sorted(
            self.claims,
            key=lambda claim: (
                not claim.bound,
                -sum(claim.requests.devices.values()),
                -claim.requests.memory,
                claim.name,
            ),
        )


def build_inventory(
    *,
    nodes: Iterable[Object],
    pods: Iterable[Object],
    catalog: Catalog,
    config: OperatorConfig,
    quotas: Iterable[Object] = (),
    deployments: Iterable[Object] = (),
    promises: Iterable[Promise] = (),
    memo: FactsMemo | None = None,
) -> Inventory:
    """The inventory of a cluster, from whole or trimmed objects in any order.

    Deployments that are no pools are ignored. `promises` are pools that were chosen and whose Deployment may not be
    seen yet. With a static inventory `nodes` and pods outside of the watched namespaces are ignored, so that whoever
    may read them plans as the operator does. Raises `ConfigurationError` when the configuration describes nodes of an
    unknown accelerator.
    """
    memo = memo or FactsMemo()
    if config.reads_nodes:
        known = [memo.get("Node", obj, lambda each: node_of(parse.node_facts(each), catalog=catalog)) for obj in nodes]
    else:
        known = static_nodes(config, catalog=catalog)
        pods = [obj for obj in pods if (space := obj["metadata"].get("namespace")) in (config.namespaces or [space])]
    known.sort(key=lambda node: node.name)
    known += provisionable_nodes(config, catalog=catalog)
    facts = [memo.get("Pod", obj, parse.pod_facts) for obj in pods]
    pools = [each for each in (memo.get("Deployment", obj, parse.deployment_promise) for obj in deployments) if each]
    limits = [each for each in (memo.get("Quota", obj, parse.quota) for obj in quotas) if each]
    memo.forget_unused()

    ledger = Ledger(known)
    claims = _Claims()
    devices = {carried.resource for node in known for carried in node.carries if carried.resource}
    quota_held: dict[DeploymentKey, Amounts] = {}
    named = config.reads_nodes
    _count_pods(facts, ledger=ledger, claims=claims, devices=devices, quota_held=quota_held, named=named)
    claims.add_promises([*pools, *promises])
    by_namespace: dict[str, list[Quota]] = defaultdict(list)
    for each in sorted(limits, key=lambda one: (one.namespace, one.name)):
        by_namespace[each.namespace].append(each)
    return _settled(
        ledger=ledger,
        claims=claims,
        quotas={namespace: tuple(found) for namespace, found in by_namespace.items()},
        quota_held=quota_held,
    )


def with_promises(inventory: Inventory, promises: Iterable[Promise]) -> Inventory:
    """The inventory once these promises are made too: to plan several deployments against one ledger."""
    claims = _Claims(counted=dict(inventory.counted))
    claims.add_promises(promises)
    return _settled(
        ledger=Ledger(inventory.nodes),
        claims=claims,
        quotas=inventory.quotas,
        quota_held=dict(inventory.quota_held),
    )


def _count_pods(
    pods: Iterable[PodFacts],
    *,
    ledger: Ledger,
    claims: _Claims,
    devices: set[str],
    quota_held: dict[DeploymentKey, Amounts],
    named: bool,
) -> None:
    """`named`: nodes are known by their names, so that a bound pod counts where it runs."""
    counted: Counter[tuple[str, str, int, str]] = Counter()
    bound: dict[tuple[str, DeploymentKey | None, str], Sum] = defaultdict(Sum)
    for pod in pods:
        if pod.terminal:
            continue
        owner = (pod.namespace, pod.deployment) if pod.deployment else None
        signature = ""
        if owner is not None:
            quota_held[owner] = quota_held.get(owner, Amounts()).plus(pod.requests)
            if not pod.terminating:
                signature = parse.signature(pod.requests, pod.placement)
                counted[(*owner, pod.pool, signature)] += 1
        if pod.node and named:
            bound[(pod.node, owner, signature)].add(pod.requests)
        elif owner is not None or not devices.isdisjoint(pod.requests.devices):
            runs = bool(pod.node)
            if runs or not pod.terminating:
                name = (pod.namespace, pod.name)
                claim = _Claim(
                    pod.requests, pod.placement, owner, 1, name, podless=False, signature=signature, bound=runs
                )
                claims.claims.append(claim)
    for (node, owner, signature), total in bound.items():
        ledger.bind(node, total.amounts(), owner=owner, signature=signature)
    claims.counted.update(counted)


def _settled(
    *,
    ledger: Ledger,
    claims: _Claims,
    quotas: Mapping[str, tuple[Quota, ...]],
    quota_held: dict[DeploymentKey, Amounts],
) -> Inventory:
    charged = dict(quotas)
    for claim in claims.largest_first():
        ledger.claim(
            claim.requests,
            claim.placement,
            owner=claim.owner,
            signature=claim.signature,
            replicas=claim.replicas,
        )
        if claim.podless and claim.owner is not None:
            asked = Amounts().plus(claim.requests, times=claim.replicas)
            quota_held[claim.owner] = quota_held.get(claim.owner, Amounts()).plus(asked)
            namespace = claim.owner[0]
            if namespace in charged:
                charged[namespace] = tuple(charge(each, asked) for each in charged[namespace])
    nodes = ledger.nodes()
    accelerators: dict[str, Accelerator] = {}
    carrying: dict[str, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        for carried in node.carries:
            accelerators.setdefault(carried.accelerator.name, carried.accelerator)
            carrying[carried.accelerator.name].append(index)
    return Inventory(
        nodes=nodes,
        quotas=charged,
        quota_held=quota_held,
        accelerators=dict(sorted(accelerators.items())),
        by_accelerator={name: tuple(found) for name, found in carrying.items()},
        counted=claims.counted,
    )
