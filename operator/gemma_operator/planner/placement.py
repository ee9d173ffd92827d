"""Where replicas could run: on free GPUs, on nodes to be added, once others leave, or nowhere and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gemma_operator.inventory.matching import matches_selector, untolerated
from gemma_operator.inventory.quotas import applies, give_back, taken
from gemma_operator.inventory.types import UNLIMITED, Amounts, Inventory, Node
from gemma_operator.planner.ask import Ask
from gemma_operator.planner.refusal import Refusal, Stage
from gemma_operator.planner.text import count, size
from gemma_operator.planner.types import Supply

_STANDARD: Final[dict[str, dict[str, Any]]] = {
    "nvidia": {"key": "nvidia.com/gpu", "operator": "Exists"},
    "amd": {"key": "amd.com/gpu", "operator": "Exists"},
}
_USUAL: Final[tuple[dict[str, Any], ...]] = (
    {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
    {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"},
)
"""Taints that AKS and GKE users put on GPU nodes; tolerated where nodes of the row carry them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The nodes of one row that a deployment may use."""

    nodes: tuple[Node, ...]
    tolerations: tuple[dict[str, Any], ...]
    refused: Refusal | None
    """Why there is none."""


def site(nodes: Sequence[Node], ask: Ask, *, row: str, vendor: str) -> Site:
    """Nodes of a row that are up, match the spec's node selector and whose taints are tolerated."""
    tolerations = _tolerations(nodes, ask, vendor=vendor)
    usable, refused = [], Refusal(Stage.ABSENT, "NoSuchNode", f"no node carries {row}")
    for node in nodes:
        if not matches_selector(ask.selector, node.labels):
            problem = Refusal(
                Stage.NODES,
                "NodeSelector",
                f"no node with {row} has the labels of spec.pod.nodeSelector: change the selector or label a node",
            )
        elif taints := untolerated(node.taints, tolerations):
            problem = Refusal(
                Stage.NODES,
                "Tainted",
                f"nodes with {row} carry the taint {taints[0]}: add a toleration to spec.pod.tolerations",
            )
        elif node.unavailable == "cordoned":
            problem = Refusal(
                Stage.UNAVAILABLE, "NodesUnavailable", f"every node with {row} is cordoned: kubectl uncordon one"
            )
        elif node.unavailable:
            problem = Refusal(
                Stage.UNAVAILABLE, "NodesUnavailable", f"every node with {row} is {node.unavailable}: repair or add one"
            )
        else:
            usable.append(node)
            continue
        if problem.stage > refused.stage:
            refused = problem
    return Site(nodes=tuple(usable), tolerations=tolerations, refused=None if usable else refused)


def _tolerations(nodes: Sequence[Node], ask: Ask, *, vendor: str) -> tuple[dict[str, Any], ...]:
    tolerations = [dict(_STANDARD[vendor])] if vendor in _STANDARD else []
    taints = {(taint.key, taint.value, taint.effect) for node in nodes for taint in node.taints}
    if vendor in _STANDARD:
        tolerations += [dict(each) for each in _USUAL if (each["key"], each["value"], each["effect"]) in taints]
    for each in ask.tolerations:
        if each not in tolerations:
            tolerations.append(dict(each))
    return tuple(tolerations)


def place(where: Site, need: Amounts, ask: Ask, *, row: str) -> Supply | Refusal:
    """How all replicas could be had, or why they cannot."""
    wanted = ask.replicas
    free = possible = 0
    for node in where.nodes:
        if not node.provisionable and free < wanted:
            free += node.free_for(ask.owner).holds(need)
    if free >= wanted:
        return Supply.FREE
    added = free
    for node in where.nodes:
        if node.provisionable and added < wanted:
            added += node.count * node.free_for(ask.owner).holds(need)
    if added >= wanted:
        return Supply.PROVISIONABLE
    for node in where.nodes:
        if possible < wanted:
            possible += node.count * node.allocatable.holds(need)
    if possible >= wanted:
        return Supply.OCCUPIED
    return _too_small(where, need, wanted=wanted, possible=possible, row=row)


def _too_small(where: Site, need: Amounts, *, wanted: int, possible: int, row: str) -> Refusal:
    if possible:
        return Refusal(
            Stage.NODES,
            "TooFewNodes",
            f"nodes with {row} hold {count(possible, 'replica')} at most, {wanted} are wanted: lower scaling.min or "
            "replicas, or add nodes",
        )
    largest = max(
        where.nodes,
        key=lambda node: (min(_share(node.allocatable, need).values()), not node.provisionable, node.name),
    )
    name, has, asks = _shortest(largest.allocatable, need)
    where_ = "a node to be added" if largest.provisionable else f"node {largest.name}"
    return Refusal(
        Stage.NODES,
        "NodeTooSmall",
        f"one replica asks for {asks} {name} and the roomiest node with {row}, {where_}, has {has}",
    )


def _share(have: Amounts, need: Amounts) -> dict[str, float]:
    """How often each resource that is asked for is there."""
    pairs = {
        "CPU": (have.cpu_millis, need.cpu_millis),
        "memory": (have.memory, need.memory),
        "ephemeral storage": (have.ephemeral, need.ephemeral),
        "pod slots": (have.pods, need.pods),
        **{name: (have.devices.get(name, 0), asked) for name, asked in need.devices.items()},
    }
    return {name: has / asked for name, (has, asked) in pairs.items() if asked}


def _shortest(have: Amounts, need: Amounts) -> tuple[str, str, str]:
    name = min(_share(have, need).items(), key=lambda item: (item[1], item[0]))[0]
    match name:
        case "CPU":
            return name, f"{have.cpu_millis / 1000:g}", f"{need.cpu_millis / 1000:g}"
        case "memory":
            return name, size(have.memory), size(need.memory)
        case "ephemeral storage":
            return name, size(have.ephemeral), size(need.ephemeral)
        case "pod slots":
            return name, str(have.pods), str(need.pods)
        case device:
            return device, str(have.devices.get(device, 0)), str(need.devices[device])


def short_quota(inventory: Inventory, need: Amounts, ask: Ask) -> Refusal | None:
    """The quota of the namespace that does not leave enough for all replicas, if there is one."""
    held = inventory.quota_held.get(ask.owner, Amounts())
    for quota in inventory.quotas.get(ask.namespace, ()):
        if not applies(quota, priority_class=ask.spec.pod.priority_class_name):
            continue
        for resource, left in give_back(quota, held).left.items():
            needed = taken(resource, need) * ask.replicas
            if needed > left:
                return Refusal(
                    Stage.QUOTA,
                    "QuotaExceeded",
                    f"ResourceQuota {quota.name} of namespace {ask.namespace} leaves "
                    f"{_quantity(resource, max(left, 0))} {resource}, the plan needs "
                    f"{_quantity(resource, needed)}: raise the quota or ask for less",
                )
    return None


def _quantity(resource: str, amount: int) -> str:
    kind = resource.rsplit(".", 1)[-1]
    if kind == "cpu":
        return f"{amount / 1000:g}"
    if kind in ("memory", "ephemeral-storage"):
        return size(amount)
    return "unlimited" if amount >= UNLIMITED else str(amount)
