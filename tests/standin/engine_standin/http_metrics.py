"""The http_… metrics that vLLM's instrumentation of its web framework adds to the scrape."""

from prometheus_client import CollectorRegistry, Counter, Histogram, Summary

EXCLUDED = frozenset({"/metrics", "/health", "/load", "/ping", "/version", "/server_info"})
_FINE = (0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60)


class HttpMetrics:
    """Counts requests by route, method and class of status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "http_requests_total",
            "Total number of requests by method, status and handler.",
            ("method", "status", "handler"),
            registry=registry,
        )
        self._in = Summary(
            "http_request_size_bytes",
            "Content length of incoming requests by handler. Only value of header is respected. "
            "Otherwise ignored. No percentile calculated. ",
            ("handler",),
            registry=registry,
        )
        self._out = Summary(
            "http_response_size_bytes",
            "Content length of outgoing responses by handler. Only value of header is respected. "
            "Otherwise ignored. No percentile calculated. ",
            ("handler",),
            registry=registry,
        )
        self._fine = Histogram(
            "http_request_duration_highr_seconds",
            "Latency with many buckets but no API specific labels. Made for more accurate percentile calculations. ",
            buckets=_FINE,
            registry=registry,
        )
        self._coarse = Histogram(
            "http_request_duration_seconds",
            "Latency with only few buckets by handler. Made to be only used if aggregation by handler is important. ",
            ("method", "handler"),
            buckets=(0.1, 0.5, 1),
            registry=registry,
        )

    def observe(self, *, handler: str, method: str, status: int, seconds: float, size_in: int, size_out: int) -> None:
        """Record one answered request; sizes in bytes, 0 when unknown."""
        if handler in EXCLUDED:
            return
        self._requests.labels(method, f"{status // 100}xx", handler).inc()
        self._in.labels(handler).observe(size_in)
        self._out.labels(handler).observe(size_out)
        self._fine.observe(seconds)
        self._coarse.labels(method, handler).observe(seconds)
