"""Prometheus metrics of the operator process."""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

API_REQUESTS = Counter(
    "gemma_operator_apiserver_requests_total", "Requests to the API server.", ["verb", "kind", "code"]
)
QUEUE_DEPTH = Gauge("gemma_operator_workqueue_depth", "Keys that wait for a worker.", ["queue"])
QUEUE_SECONDS = Histogram(
    "gemma_operator_workqueue_queue_duration_seconds", "Seconds that a key waited.", ["queue"], buckets=_SECONDS
)
QUEUE_RETRIES = Counter("gemma_operator_workqueue_retries_total", "Keys put back after an error.", ["queue"])
RECONCILES = Counter("gemma_operator_reconcile_total", "Reconciles by result.", ["queue", "result"])
RECONCILE_SECONDS = Histogram(
    "gemma_operator_reconcile_duration_seconds", "Seconds of one reconcile.", ["queue"], buckets=_SECONDS
)
ACTIVE_WORKERS = Gauge("gemma_operator_active_workers", "Workers that reconcile right now.", ["queue"])
PLANS = Counter("gemma_operator_plans_total", "Plans made, by outcome.", ["outcome"])
PLAN_SECONDS = Histogram("gemma_operator_plan_duration_seconds", "Seconds of one planning run.", buckets=_SECONDS)
LEADER = Gauge("gemma_operator_leader", "1 for the operator that works; the others stand by.")
LOOP_LAG = Gauge("gemma_operator_event_loop_lag_seconds", "How late the event loop last was.")
WATCH_EVENTS = Counter("gemma_operator_watch_events_total", "Watch events received.", ["kind"])
LAST_EVENT = Gauge("gemma_operator_watch_last_event_timestamp_seconds", "When the last event of a kind came.", ["kind"])
CACHE_OBJECTS = Gauge("gemma_operator_cache_objects", "Objects in the caches.", ["kind"])
CACHE_REPAIRS = Counter(
    "gemma_operator_cache_repairs_total", "Objects that a comparison with a list found stale in a cache.", ["kind"]
)
DEPLOYMENTS = Gauge("gemma_operator_deployments", "GemmaDeployments by phase.", ["phase"])
SCRAPES = Counter("gemma_operator_scrapes_total", "Reads of engine and router pods.", ["what", "result"])
SCALINGS = Counter("gemma_operator_scalings_total", "Changes of a number of replicas.", ["direction"])
REQUESTS = Gauge(
    "gemma_operator_requests", "Requests of a deployment by state, as last reported.", ["namespace", "name", "state"]
)


def forget_requests(namespace: str, name: str) -> None:
    """Drop the series of a deployment that is gone."""
    REQUESTS.remove_by_labels({"namespace": namespace, "name": name})


__all__ = ["REGISTRY"]
