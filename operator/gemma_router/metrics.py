"""The router's own metrics. No label names an endpoint, because pods come and go for months."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

State = Callable[[], dict[str, dict[str, int]]]

LONG = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)

GAUGES = {
    "inFlight": ("gemma_router_requests_in_flight", "Requests that an endpoint works on, counted by this router pod"),
    "endpoints": ("gemma_router_endpoints", "Endpoints that may get requests"),
    "ejected": ("gemma_router_endpoints_ejected", "Endpoints that Kubernetes lists and that do not answer"),
    "unsampled": ("gemma_router_endpoints_unsampled", "Endpoints whose metrics could not be read for 5 s"),
}

HELD = {"heldNoEndpoint": "no_endpoint", "heldBusy": "busy"}


class Metrics:
    """Counters of this process, and gauges that read the state when they are scraped."""

    def __init__(self, state: State) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "gemma_router_requests",
            "Client requests that ended",
            ["deployment", "client", "code"],
            registry=self.registry,
        )
        self.denied = Counter("gemma_router_denied", "Requests refused for their key", ["code"], registry=self.registry)
        self.first_byte = Histogram(
            "gemma_router_first_byte_seconds",
            "From the request to the first byte of the answer's body",
            ["deployment"],
            buckets=LONG,
            registry=self.registry,
        )
        self.duration = Histogram(
            "gemma_router_duration_seconds",
            "From the request to the end of the answer",
            ["deployment"],
            buckets=LONG,
            registry=self.registry,
        )
        self.waited = Histogram(
            "gemma_router_wait_seconds",
            "How long requests that had to wait for an endpoint did so",
            ["deployment"],
            buckets=LONG,
            registry=self.registry,
        )
        self.refused = Counter(
            "gemma_router_refused",
            "Requests that were given up while they waited",
            ["deployment", "reason"],
            registry=self.registry,
        )
        self.registry.register(_StateCollector(state))

    def exposition(self) -> bytes:
        """Return the Prometheus text format."""
        return generate_latest(self.registry)


class _StateCollector(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[GaugeMetricFamily]:
        state = self._state()
        for field, (name, text) in GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=["deployment"])
            for deployment, numbers in state.items():
                family.add_metric([deployment], numbers[field])
            yield family
        held = GaugeMetricFamily(
            "gemma_router_requests_held", "Requests that wait in this router pod", labels=["deployment", "reason"]
        )
        for deployment, numbers in state.items():
            for field, reason in HELD.items():
                held.add_metric([deployment, reason], numbers[field])
        yield held
