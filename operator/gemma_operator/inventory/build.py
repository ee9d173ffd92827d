"""Cluster objects → Inventory: what every node carries, what is free on it, what is promised, what quotas leave."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.errors import ConfigurationError
from gemma_operator.catalog.identify import driver_major, identify, selector_terms
from gemma_operator.catalog.types import Accelerator, Catalog
from gemma_operator.inventory import parse
from gemma_operator.inventory.ledger import Ledger
from gemma_operator.inventory.quotas import charge
from gemma_operator.inventory.types import (
    Amounts,
    Carried,
    DeploymentKey,
    Inventory,
    Node,
    NodeFacts,
    Placement,
    PodFacts,
    Promise,
    Quota,
    Sum,
)

Object = Mapping[str, Any]
T = TypeVar("T")
Counted = Mapping[tuple[str, str, int, str], int]
_ARCHITECTURE = "kubernetes.io/arch"


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
        """The order in which claims are placed."""
        return sorted(
            self.claims,
            key=lambda claim: (-sum(claim.requests.devices.values()), -claim.requests.memory, claim.name),
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
    seen yet. Raises `ConfigurationError` when the configuration names provisionable nodes of an unknown accelerator.
    """
    memo = memo or FactsMemo()
    known = [memo.get("Node", obj, lambda each: _node(parse.node_facts(each), catalog=catalog)) for obj in nodes]
    known.sort(key=lambda node: node.name)
    known += _provisionable(config, catalog=catalog)
    facts = [memo.get("Pod", obj, parse.pod_facts) for obj in pods]
    pools = [each for each in (memo.get("Deployment", obj, parse.deployment_promise) for obj in deployments) if each]
    limits = [each for each in (memo.get("Quota", obj, parse.quota) for obj in quotas) if each]
    memo.forget_unused()

    ledger = Ledger(known)
    claims = _Claims()
    devices = {carried.resource for node in known for carried in node.carries if carried.resource}
    quota_held: dict[DeploymentKey, Amounts] = {}
    _count_pods(facts, ledger=ledger, claims=claims, devices=devices, quota_held=quota_held)
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


def _node(facts: NodeFacts, *, catalog: Catalog, provisionable: Accelerator | None = None, count: int = 1) -> Node:
    if provisionable is not None:
        carries = [_carried(provisionable, provisionable.resource, facts.labels)]
    else:
        carries = [
            _carried(match.accelerator, match.resource, facts.labels)
            for match in identify(labels=facts.labels, resources=sorted(facts.allocatable.devices), catalog=catalog)
            if match.resource is not None
        ]
        cpu = catalog.accelerators.get("cpu")
        if cpu is not None and facts.labels.get(_ARCHITECTURE, cpu.host_architecture) == cpu.host_architecture:
            carries.append(Carried(accelerator=cpu, resource=None))
    return Node(
        name=facts.name,
        labels=facts.labels,
        taints=facts.taints,
        unavailable="cordoned" if facts.cordoned else "" if facts.ready else "NotReady",
        allocatable=facts.allocatable,
        free=facts.allocatable,
        held={},
        carries=tuple(carries),
        driver=driver_major(facts.labels),
        provisionable=provisionable is not None,
        count=count,
    )


def _carried(accelerator: Accelerator, resource: str | None, labels: Mapping[str, str]) -> Carried:
    terms = selector_terms(accelerator=accelerator, labels=[labels])
    return Carried(accelerator=accelerator, resource=resource, terms=terms)


def _provisionable(config: OperatorConfig, *, catalog: Catalog) -> list[Node]:
    found = []
    for number, entry in enumerate(config.provisionable):
        accelerator = catalog.accelerators.get(entry.accelerator)
        if accelerator is None:
            raise ConfigurationError(
                f"configuration: provisionable[{number}].accelerator {entry.accelerator!r} is not in the hardware "
                f"table: use a name that `kubectl gemma accelerators` lists, or add the row under accelerators"
            )
        if entry.nodes:
            facts = parse.provisionable_facts(entry, accelerator=accelerator)
            node = _node(facts, catalog=catalog, provisionable=accelerator, count=entry.nodes)
            found.append(replace(node, name=f"provisionable-{number:03d}-{accelerator.name}#0"))
    return found


def _count_pods(
    pods: Iterable[PodFacts],
    *,
    ledger: Ledger,
    claims: _Claims,
    devices: set[str],
    quota_held: dict[DeploymentKey, Amounts],
) -> None:
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
        if pod.node:
            bound[(pod.node, owner, signature)].add(pod.requests)
        elif not pod.terminating and (owner is not None or not devices.isdisjoint(pod.requests.devices)):
            name = (pod.namespace, pod.name)
            claim = _Claim(pod.requests, pod.placement, owner, 1, name, podless=False, signature=signature)
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
