"""Node affinity of a pool: OR-ed terms, one for every way in which nodes of the row are labelled."""

from collections.abc import Sequence
from typing import Any

from gemma_operator.catalog.identify import driver_label
from gemma_operator.inventory.types import Node
from gemma_operator.planner.candidates import Row

_ARCHITECTURE = "kubernetes.io/arch"

Term = dict[str, Any]


def selector_terms(nodes: Sequence[Node], *, row: Row, old_drivers: tuple[int, ...]) -> tuple[Term, ...]:
    """`nodeSelectorTerms` of a pool; nodes whose driver no image runs on are left out by their label."""
    if row.resource is None:
        return _cpu(nodes, architecture=row.accelerator.host_architecture)
    found: dict[str, Term] = {}
    for node in nodes:
        for term in _shown(node, row) or (_to_be_added(node, row) if node.provisionable else ()):
            found[repr(term)] = term
    terms = [found[key] for key in sorted(found)]
    refused: dict[str, set[str]] = {}
    for node in nodes:
        if node.driver in old_drivers and (label := driver_label(node.labels)):
            refused.setdefault(label, set()).add(node.labels[label])
    without = [{"key": key, "operator": "NotIn", "values": sorted(refused[key])} for key in sorted(refused)]
    return tuple({"matchExpressions": [*term["matchExpressions"], *without]} for term in terms)


def _shown(node: Node, row: Row) -> tuple[Term, ...]:
    for carried in node.carries:
        if carried.accelerator.name == row.name and carried.resource == row.resource:
            return carried.terms
    return ()


def _to_be_added(node: Node, row: Row) -> list[Term]:
    """By the labels that the configuration gives such nodes, else by every label that means the row."""
    if node.labels:
        return [_term({key: (value,) for key, value in node.labels.items()})]
    return [_term(found.labels) for found in row.accelerator.identifications]


def _term(labels: Any) -> Term:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": list(labels[key])} for key in sorted(labels)]}


def _cpu(nodes: Sequence[Node], *, architecture: str) -> tuple[Term, ...]:
    """By host architecture, which every kubelet reports."""
    if all(_ARCHITECTURE in node.labels for node in nodes):
        return (_term({_ARCHITECTURE: (architecture,)}),)
    return ()
