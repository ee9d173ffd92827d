"""Read what only the cluster can tell about failing pods, then diagnose."""

from collections.abc import Sequence

from gemma_operator.cluster.resources import EVENTS, Object
from gemma_operator.reconcile.diagnosis import LOG_LINES, Diagnosis, container_status, diagnose, needs_log
from gemma_operator.reconcile.world import World

_READS_KEPT = 1024
_PODS_READ = 3
"""Pods of one Deployment fail alike: the logs of a few tell what ails all."""


async def examine(
    world: World, *, deployment: Object | None, pods: Sequence[Object], container: str
) -> Diagnosis | None:
    """What keeps the pods of a Deployment from running, or `None`."""
    logs, events = {}, {}
    failed = [pod for pod in pods if needs_log(pod, container=container)][:_PODS_READ]
    for pod in failed:
        logs[pod["metadata"]["name"]], events[pod["metadata"]["name"]] = await _read(world, pod, container=container)
    return diagnose(
        deployment=deployment,
        pods=pods,
        logs=logs,
        events=events,
        container=container,
        startup_budget_seconds=_startup_budget(deployment, container=container),
    )


async def _read(world: World, pod: Object, *, container: str) -> tuple[str, str]:
    status = container_status(pod, container=container)
    key = (pod["metadata"]["uid"], int(status.get("restartCount", 0)))
    if key not in world.reads:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        previous = "terminated" not in status.get("state", {})
        log = await world.client.log(
            namespace=namespace, pod=name, container=container, lines=LOG_LINES, previous=previous
        )
        items, _ = await world.client.list(
            EVENTS, namespace=namespace, fields=f"involvedObject.uid={pod['metadata']['uid']},type=Warning"
        )
        items.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        probes = [event.get("message", "") for event in items if event.get("reason") == "Unhealthy"]
        world.reads[key] = (log or "", probes[-1] if probes else "")
        while len(world.reads) > _READS_KEPT:
            world.reads.popitem(last=False)
    return world.reads[key]


def _startup_budget(deployment: Object | None, *, container: str) -> int:
    spec = (deployment or {}).get("spec", {}).get("template", {}).get("spec", {})
    for candidate in spec.get("containers") or ():
        if candidate["name"] == container:
            probe = candidate.get("startupProbe") or {}
            return int(probe.get("failureThreshold", 3)) * int(probe.get("periodSeconds", 10))
    return 0
