"""Every metric that the running stack exports, with its labels: from the registries of operator, router and engine.

Those of the engine are the stand-in's, whose table is made from a scrape of the real one and checked against it.
"""

from collections.abc import Iterable

from engine_standin.metrics import families
from gemma_operator.cluster import telemetry
from gemma_operator.controller.fleet_metrics import FleetCollector
from gemma_router.metrics import Metrics
from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

STATE = {"inFlight": 1, "endpoints": 1, "ejected": 0, "unsampled": 0, "heldNoEndpoint": 0, "heldBusy": 0}
DEPLOYMENT = {
    "metadata": {"namespace": "a", "name": "chat"},
    "status": {"phase": "Ready", "reason": "Serving", "replicas": 1, "readyReplicas": 1, "costPerHour": "1.42"},
}

TARGET = frozenset({"namespace", "pod", "container", "job", "instance", "endpoint"})
"""Labels that a PodMonitor gives every series."""

Exported = dict[str, frozenset[str]]
"""Name of a series → its labels."""


def operator() -> Exported:
    """Series of the operator."""
    own = [value for value in vars(telemetry).values() if isinstance(value, MetricWrapperBase)]
    return _of_objects(own) | _of_families(FleetCollector([DEPLOYMENT], leads=lambda: True).collect())


def router() -> Exported:
    """Series of a router pod."""
    metrics = Metrics(lambda: {"chat": STATE})
    own = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    return _of_objects(own) | _of_families(metrics.registry.collect())


def engine() -> Exported:
    """Series of an engine; the deployment is a label that its PodMonitor adds."""
    found: Exported = {}
    for family in families():
        found |= _series(family.name, kind=family.kind, labels={*family.labels, "deployment"})
    return found


def everything() -> Exported:
    """All of them, with the labels of their targets."""
    return {name: labels | TARGET for name, labels in (operator() | router() | engine()).items()}


def _of_objects(metrics: Iterable[MetricWrapperBase]) -> Exported:
    found: Exported = {}
    for metric in metrics:
        for family in metric.describe():
            found |= _series(family.name, kind=family.type, labels=metric._labelnames)
    return found


def _series(family: str, *, kind: str, labels: Iterable[str]) -> Exported:
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(kind, ("",))
    return {
        f"{family}{suffix}": frozenset(labels) | ({"le"} if suffix == "_bucket" else frozenset()) for suffix in suffixes
    }


def _of_families(families: Iterable[Metric]) -> Exported:
    found: Exported = {}
    for family in families:
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, frozenset()) | frozenset(sample.labels)
    return found
