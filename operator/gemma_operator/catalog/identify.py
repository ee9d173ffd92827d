"""Node labels → accelerators, and back: accelerator → the node selector terms of the nodes that exist.

A node shows a GPU in several ways at once (GFD beside GKE labels). The order of trust is: MIG resource labels, GFD,
then the cloud's own labels, then the instance type. A GPU that GFD describes but no row knows becomes a row of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gemma_operator.catalog.convert import GFD_MEMORY, GFD_PRODUCT, GKE_CLIENTS
from gemma_operator.catalog.made_up import from_gfd, share_of
from gemma_operator.catalog.types import Accelerator, Catalog, Identification

SHARED_SUFFIX = "-SHARED"
_REPLICAS = "nvidia.com/gpu.replicas"
_DRIVER_LABELS = (
    "nvidia.com/cuda.driver-version.major",
    "nvidia.com/cuda.driver.major",
    "nvidia.com/cuda.driver-version.full",
)
_TRUST = ("mig", "gfd", "custom", "gke", "karpenter", "eks-auto", "coreweave", "amd", "eks", "aks")
_MEMORY_TOLERANCE = 0.06
"""Drivers report a few percent more or less than the table; more than this is another GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A resource of a node and the accelerator that it stands for."""

    accelerator: Accelerator
    resource: str


def identify(*, labels: Mapping[str, str], resources: Iterable[str], catalog: Catalog) -> tuple[Match, ...]:
    """The accelerators behind a node's extended resources, sorted by resource; unknown resources are left out."""
    matches = []
    for resource in sorted(set(resources)):
        accelerator = _accelerator(labels, resource, catalog)
        if accelerator is not None:
            matches.append(Match(accelerator=accelerator, resource=resource))
    return tuple(matches)


def selector_terms(*, accelerator: Accelerator, labels: Iterable[Mapping[str, str]]) -> tuple[dict[str, Any], ...]:
    """`nodeSelectorTerms` that select these nodes by the accelerator, one per way in which they are labelled.

    Sorted and without repetition; nodes that do not show the accelerator add nothing.
    """
    terms: dict[str, dict[str, Any]] = {}
    for node in labels:
        found = _identified_by(node, accelerator)
        if found is None:
            continue
        term = _term(found, node, accelerator)
        own = [item for item in term["matchExpressions"] if item["key"] in found.labels]
        way = repr([(item["key"] if item in own else item) for item in term["matchExpressions"]])
        for item in own:
            item["values"] = sorted({*item["values"], *_values(terms.get(way), item["key"])})
        terms[way] = term
    return tuple(sorted(terms.values(), key=repr))


def driver_label(labels: Mapping[str, str]) -> str | None:
    """The label by which the node tells its NVIDIA driver's version, `None` where GFD does not say."""
    for label in _DRIVER_LABELS:
        if labels.get(label, "").partition(".")[0].isdigit():
            return label
    return None


def driver_major(labels: Mapping[str, str]) -> int | None:
    """Major version of the node's NVIDIA driver, `None` where GFD does not say."""
    label = driver_label(labels)
    return int(labels[label].partition(".")[0]) if label else None


def shares(labels: Mapping[str, str]) -> int:
    """How many pods share each GPU of the node in time; 1 = not shared."""
    product = labels.get(GFD_PRODUCT, "")
    replicas = labels.get(_REPLICAS, "")
    clients = labels.get(GKE_CLIENTS, "")
    if product.upper().endswith(SHARED_SUFFIX):
        return max(2, int(replicas)) if replicas.isdigit() else 2
    if clients.isdigit() and int(clients) > 1:
        return int(clients)
    return 1


def _accelerator(labels: Mapping[str, str], resource: str, catalog: Catalog) -> Accelerator | None:
    plain = _unshared(labels, resource)
    base_resource = resource.removesuffix(".shared")
    found = [
        (_TRUST.index(identification.source), row, identification)
        for row in catalog.accelerators.values()
        for identification in row.identifications
        if (identification.resource or row.resource) == base_resource and _matches(identification, plain)
    ]
    row: Accelerator | None = None
    if found:
        _, row, identification = min(found, key=lambda item: (item[0], item[1].name))
        if identification.source in ("gfd", "mig") and _other_memory(plain, identification, row):
            row = None
        elif (identification.resource or row.resource) != row.resource:
            row = _single(row, identification)
    if row is None:
        row = from_gfd(labels=plain, resource=base_resource, catalog=catalog)
    if row is None:
        return None
    count = shares(labels)
    if resource != base_resource:
        replicas = labels.get(_REPLICAS, "")
        count = max(count, int(replicas) if replicas.isdigit() else 2)
    return share_of(row, count=count, resource=resource) if count > 1 else row


def _unshared(labels: Mapping[str, str], resource: str) -> Mapping[str, str]:
    """The labels as they were without time slicing."""
    plain = {label: value for label, value in labels.items() if label != GKE_CLIENTS}
    product = plain.get(GFD_PRODUCT, "")
    if product.upper().endswith(SHARED_SUFFIX):
        plain[GFD_PRODUCT] = product[: -len(SHARED_SUFFIX)]
    return plain


def _matches(identification: Identification, labels: Mapping[str, str]) -> bool:
    for label, values in identification.labels.items():
        value = labels.get(label, "").lower()
        if not value or value not in {known.lower() for known in values}:
            return False
    if any(label in labels for label in identification.absent):
        return False
    if identification.memory_mib is None:
        return True
    reported = labels.get(identification.memory_label or "", "")
    low, high = identification.memory_mib
    return reported.isdigit() and low <= int(reported) <= high


def _other_memory(labels: Mapping[str, str], identification: Identification, row: Accelerator) -> bool:
    """Whether the node reports an amount of memory that this row cannot have."""
    label = GFD_MEMORY
    if identification.source == "mig":
        label = next(iter(identification.labels)).removesuffix(".product") + ".memory"
    reported = labels.get(label, "")
    if not reported.isdigit():
        return False
    return abs(int(reported) * 2**20 - row.memory_bytes) > row.memory_bytes * _MEMORY_TOLERANCE


def _single(row: Accelerator, identification: Identification) -> Accelerator:
    """A MIG profile under strategy `single`: the same partition behind `nvidia.com/gpu`."""
    resource = identification.resource
    return replace(
        row,
        name=f"{row.name}-single",
        also=(row.name,),
        resource=resource,
        identifications=tuple(found for found in row.identifications if found.resource == resource),
    )


def _identified_by(labels: Mapping[str, str], accelerator: Accelerator) -> Identification | None:
    plain = labels if accelerator.made_up else _unshared(labels, accelerator.resource or "")
    if accelerator.shares != shares(labels) and (accelerator.resource or "").endswith("/gpu"):
        return None
    candidates = [
        found
        for found in accelerator.identifications
        if found.resource in (None, accelerator.resource) and _matches(found, plain)
    ]
    return min(candidates, key=lambda found: _TRUST.index(found.source), default=None)


def _values(term: dict[str, Any] | None, key: str) -> list[str]:
    """Values of `key` in a term that was made before for the same way of labelling."""
    expressions = term["matchExpressions"] if term else []
    return [value for item in expressions if item["key"] == key for value in item["values"]]


def _term(found: Identification, labels: Mapping[str, str], accelerator: Accelerator) -> dict[str, Any]:
    expressions: list[dict[str, Any]] = []
    for label, values in found.labels.items():
        known = {value.lower() for value in values}
        spelled = labels[label]
        plain = spelled[: -len(SHARED_SUFFIX)] if spelled.upper().endswith(SHARED_SUFFIX) else spelled
        chosen = sorted({*values, plain} if plain.lower() in known else values)
        if spelled != plain:
            chosen = [value + SHARED_SUFFIX for value in chosen]
        expressions.append({"key": label, "operator": "In", "values": chosen})
    if found.memory_label and found.memory_mib:
        low, high = found.memory_mib
        expressions.append({"key": found.memory_label, "operator": "Gt", "values": [str(low - 1)]})
        expressions.append({"key": found.memory_label, "operator": "Lt", "values": [str(high + 1)]})
    absent = found.absent
    if accelerator.shares > 1:
        sharing = GKE_CLIENTS if GKE_CLIENTS in labels else _REPLICAS
        absent = tuple(label for label in absent if label != GKE_CLIENTS)
        if sharing in labels:
            expressions.append({"key": sharing, "operator": "In", "values": [labels[sharing]]})
    expressions += [{"key": label, "operator": "DoesNotExist"} for label in absent]
    return {"matchExpressions": sorted(expressions, key=lambda item: (item["key"], item["operator"]))}
