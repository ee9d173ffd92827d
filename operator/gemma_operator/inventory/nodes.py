"""Nodes of the inventory: from those of the cluster, and from those that the configuration describes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from gemma_operator.api.config import OperatorConfig, Provisionable, StaticNodes
from gemma_operator.api.errors import ConfigurationError
from gemma_operator.catalog.identify import driver_major, identify, selector_terms
from gemma_operator.catalog.types import Accelerator, Catalog
from gemma_operator.inventory import parse
from gemma_operator.inventory.types import Carried, Node, NodeFacts

_ARCHITECTURE: Final = "kubernetes.io/arch"


def node_of(facts: NodeFacts, *, catalog: Catalog) -> Node:
    """A node of the cluster, with every row that its labels and resources show."""
    matches = identify(labels=facts.labels, resources=sorted(facts.allocatable.devices), catalog=catalog)
    carries = [
        _carried(match.accelerator, match.resource, facts.labels) for match in matches if match.resource is not None
    ]
    return _made(facts, [*carries, *_cpu(facts, catalog=catalog)])


def _cpu(facts: NodeFacts, *, catalog: Catalog) -> list[Carried]:
    """The row of the processor, which every node of its architecture has."""
    cpu = catalog.accelerators.get("cpu")
    if cpu is None or facts.labels.get(_ARCHITECTURE, cpu.host_architecture) != cpu.host_architecture:
        return []
    return [Carried(accelerator=cpu, resource=None)]


def _made(facts: NodeFacts, carries: Iterable[Carried], *, provisionable: bool = False, count: int = 1) -> Node:
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
        provisionable=provisionable,
        count=count,
    )


def _carried(accelerator: Accelerator, resource: str | None, labels: Mapping[str, str]) -> Carried:
    terms = selector_terms(accelerator=accelerator, labels=[labels])
    return Carried(accelerator=accelerator, resource=resource, terms=terms)


def provisionable_nodes(config: OperatorConfig, *, catalog: Catalog) -> list[Node]:
    """Nodes that an autoscaler would add; raises `ConfigurationError` for an unknown accelerator."""
    found = []
    for number, entry in enumerate(config.provisionable):
        row = _row(entry, catalog=catalog, field=f"provisionable[{number}]")
        if entry.nodes:
            name = f"provisionable-{number:03d}-{row.name}#0"
            facts = parse.configured_facts(entry, accelerator=row, name=name)
            carries = [_carried(row, row.resource, facts.labels)]
            found.append(_made(facts, carries, provisionable=True, count=entry.nodes))
    return found


def static_nodes(config: OperatorConfig, *, catalog: Catalog) -> list[Node]:
    """Nodes that the configuration lists; raises `ConfigurationError` for an unknown accelerator."""
    found = []
    for number, entry in enumerate(config.inventory.nodes):
        row = _row(entry, catalog=catalog, field=f"inventory.nodes[{number}]")
        facts = parse.configured_facts(entry, accelerator=row, name="")
        # By all labels that are given: others may have nodes of the same kind.
        own = [Carried(accelerator=row, resource=row.resource, terms=(_all_of(facts.labels),))] if row.resource else []
        node = _made(facts, [*own, *_cpu(facts, catalog=catalog)])
        found += [replace(node, name=f"inventory-{number:03d}-{row.name}-{index:03d}") for index in range(entry.nodes)]
    return found


def _all_of(labels: Mapping[str, str]) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": [labels[key]]} for key in sorted(labels)]}


def _row(entry: Provisionable | StaticNodes, *, catalog: Catalog, field: str) -> Accelerator:
    found = catalog.accelerators.get(entry.accelerator)
    if found is None:
        raise ConfigurationError(
            f"configuration: {field}.accelerator {entry.accelerator!r} is not in the hardware "
            f"table: use a name that `kubectl gemma accelerators` lists, or add the row under accelerators"
        )
    return found
