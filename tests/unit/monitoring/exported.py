"""Every metric that the running stack exports, with its labels: from the registries of operator, router and engine.

Those of the engine are the stand-in's, whose table is made from a scrape of the real one and checked against it.
"""

from collections.abc import Iterable

from engine_standin.metrics import families
from metricsreference import Family, operator_families, router_families

TARGET = frozenset({"namespace", "pod", "container", "job", "instance", "endpoint"})
"""Labels that a PodMonitor gives every series."""

Exported = dict[str, frozenset[str]]
"""Name of a series → its labels."""


def operator() -> Exported:
    """Series of the operator."""
    return _series(operator_families())


def router() -> Exported:
    """Series of a router pod."""
    return _series(router_families())


def engine() -> Exported:
    """Series of an engine; the deployment is a label that its PodMonitor adds."""
    return _series(
        Family(name=family.name, kind=family.kind, labels=(*family.labels, "deployment"), help=family.help)
        for family in families()
    )


def everything() -> Exported:
    """All of them, with the labels of their targets."""
    return {name: labels | TARGET for name, labels in (operator() | router() | engine()).items()}


def _series(exported: Iterable[Family]) -> Exported:
    return {
        name: frozenset(family.labels) | ({"le"} if name.endswith("_bucket") else frozenset())
        for family in exported
        for name in family.series
    }
