"""A cluster with something more in it than there is: what a counterfactual plan is made on. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gemma_operator.catalog.types import Accelerator
from gemma_operator.inventory.matching import admits
from gemma_operator.inventory.types import Amounts, Carried, Inventory, Node, Placement

_CPU_MILLIS_PER_GPU: Final = 16_000
_BYTES_PER_GPU: Final = 128 << 30
_EPHEMERAL_PER_GPU: Final = 500 << 30
"""What a node of a kind that the cluster does not have brings with each GPU: no less than clouds sell."""
_PODS: Final = 110


def with_free_gpus(
    inventory: Inventory,
    *,
    accelerator: Accelerator,
    gpus: int,
    selector: Mapping[str, str],
    tolerations: Sequence[Mapping[str, Any]],
) -> Inventory:
    """The inventory with `gpus` more of a row free on one node, and their share of its CPU, memory and storage.

    The node is the one that may be used and has most of them free already; where none may be used, a new one.
    """
    placement = Placement(selector=selector, tolerations=tuple(dict(each) for each in tolerations))
    usable = [
        (carried.resource, index)
        for index in inventory.by_accelerator.get(accelerator.name, ())
        for node in [inventory.nodes[index]]
        if not node.unavailable
        and not node.provisionable
        and admits(placement, labels=node.labels, taints=node.taints, name=node.name)
        for carried in node.carries
        if carried.accelerator.name == accelerator.name and carried.resource is not None
    ]
    if not usable:
        return _with_node(inventory, _new_node(accelerator, gpus=gpus, selector=selector))
    resource, index = min(
        usable,
        key=lambda each: (-inventory.nodes[each[1]].free.devices.get(each[0], 0), inventory.nodes[each[1]].name),
    )
    return with_node(inventory, index, _with_more(inventory.nodes[index], resource=resource, gpus=gpus))


def with_node(inventory: Inventory, index: int, node: Node) -> Inventory:
    """The inventory with another state of one of its nodes, which carries the same."""
    return replace(inventory, nodes=(*inventory.nodes[:index], node, *inventory.nodes[index + 1 :]))


def _with_more(node: Node, *, resource: str, gpus: int) -> Node:
    total = max(node.allocatable.devices.get(resource, 0), 1)
    share = Amounts(
        cpu_millis=node.allocatable.cpu_millis * gpus // total,
        memory=node.allocatable.memory * gpus // total,
        ephemeral=node.allocatable.ephemeral * gpus // total,
        pods=gpus,
        devices={resource: gpus},
    )
    free = node.free.plus(share)
    whole = node.allocatable
    grown = replace(
        whole,
        cpu_millis=max(whole.cpu_millis, free.cpu_millis),
        memory=max(whole.memory, free.memory),
        ephemeral=max(whole.ephemeral, free.ephemeral),
        pods=max(whole.pods, free.pods),
        devices={name: max(count, free.devices.get(name, 0)) for name, count in whole.devices.items()}
        | ({} if resource in whole.devices else {resource: gpus}),
    )
    return replace(node, free=free, allocatable=grown)


def _new_node(accelerator: Accelerator, *, gpus: int, selector: Mapping[str, str]) -> Node:
    resource = accelerator.resource
    amounts = Amounts(
        cpu_millis=_CPU_MILLIS_PER_GPU * gpus,
        memory=_BYTES_PER_GPU * gpus,
        ephemeral=_EPHEMERAL_PER_GPU * gpus,
        pods=_PODS,
        devices={resource: gpus} if resource else {},
    )
    return Node(
        name=f"imagined-{accelerator.name}",
        labels=dict(selector),
        taints=(),
        unavailable="",
        allocatable=amounts,
        free=amounts,
        held={},
        carries=(Carried(accelerator=accelerator, resource=resource),),
        driver=None,
    )


def _with_node(inventory: Inventory, node: Node) -> Inventory:
    accelerators, carrying = dict(inventory.accelerators), dict(inventory.by_accelerator)
    for carried in node.carries:
        name = carried.accelerator.name
        accelerators[name] = carried.accelerator
        carrying[name] = (*carrying.get(name, ()), len(inventory.nodes))
    return replace(
        inventory,
        nodes=(*inventory.nodes, node),
        accelerators=dict(sorted(accelerators.items())),
        by_accelerator=carrying,
    )
