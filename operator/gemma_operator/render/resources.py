"""Requests and limits of an engine container."""

from gemma_operator.api.config import EngineSettings
from gemma_operator.inventory.quantity import millis
from gemma_operator.planner.types import Pool
from gemma_operator.render import quantity
from gemma_operator.render.types import Object

ResourceList = dict[str, str]


def engine_resources(*, pool: Pool, settings: EngineSettings, overrides: dict[str, dict[str, str]]) -> Object:
    """Requests and limits: what `spec.pod.resources` gives, else the operator's configuration, else the plan.

    CPU has a request and no limit, because a throttled engine misses its probes. Memory and ephemeral storage are
    limited to what is requested. GPUs are the plan's and cannot be overridden. A request or limit that is given alone
    moves its derived partner, so that no request is above its limit.
    """
    requests: ResourceList = {
        "cpu": settings.cpu_request or quantity.of_millis(pool.resources.cpu_millis),
        "memory": settings.memory_request or quantity.of_bytes(pool.resources.memory_bytes),
        "ephemeral-storage": settings.ephemeral_storage_request or quantity.of_bytes(pool.resources.ephemeral_bytes),
    }
    limits = {name: requests[name] for name in ("memory", "ephemeral-storage")}
    given_requests, given_limits = overrides.get("requests", {}), overrides.get("limits", {})
    for name in ("cpu", "memory", "ephemeral-storage"):
        _override(
            name, requests=requests, limits=limits, request=given_requests.get(name), limit=given_limits.get(name)
        )
    if pool.resource is not None:
        requests[pool.resource] = limits[pool.resource] = str(pool.gpus_per_replica)
    return {"requests": requests, "limits": limits}


def _override(
    name: str, *, requests: ResourceList, limits: ResourceList, request: str | None, limit: str | None
) -> None:
    if request is not None:
        requests[name] = request
    if limit is not None:
        limits[name] = limit
    if name in limits and millis(requests[name]) > millis(limits[name]):
        if request is None:
            requests[name] = limits[name]
        elif limit is None:
            limits[name] = requests[name]
