"""Replicas that find no node: which of them to withdraw, so that what runs is what was promised."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from gemma_operator.cluster.resources import EVENTS, Object
from gemma_operator.reconcile.ages import Ages
from gemma_operator.reconcile.world import World

GRACE_SECONDS: Final = 60
"""The scheduler and the cache of the operator may disagree for a moment."""
_ADDS_NODE: Final = {"TriggeredScaleUp", "Nominated", "NominatedNode"}
"""Events with which Cluster Autoscaler and Karpenter say that a node is on its way for a pod."""


def finds_no_node(pod: Object) -> datetime | None:
    """Since when the scheduler has found no node for a pod; `None` when it has, or has not tried."""
    if pod["metadata"].get("deletionTimestamp") or pod.get("spec", {}).get("nodeName"):
        return None
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return datetime.fromisoformat(condition["lastTransitionTime"])
    return None


def waits(pods: Sequence[Object], *, ages: Ages, since_leaving: float | None) -> dict[str, float]:
    """Seconds that each pod has waited for a node, by name.

    `since_leaving`: since a replica of the same deployment was last seen leaving: until then it held the GPUs.
    """
    found = {}
    for pod in pods:
        since = finds_no_node(pod)
        if since is not None:
            waited = ages.since(f"node for {pod['metadata']['uid']}", since)
            found[pod["metadata"]["name"]] = waited if since_leaving is None else min(waited, since_leaving)
    return found


def overdue(pods: Sequence[Object], *, waited: Mapping[str, float], patience: float) -> list[Object]:
    """Pods that wait for a node longer than `patience`, but for one where no pod has a node."""
    waiting = [pod for pod in pods if waited.get(pod["metadata"]["name"], 0.0) > patience]
    waiting.sort(key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]), reverse=True)
    placed = any(pod.get("spec", {}).get("nodeName") and not pod["metadata"].get("deletionTimestamp") for pod in pods)
    # The last one stays: it tells autoscalers what is missing, and planning looks for another candidate.
    return waiting if placed else waiting[:-1]


async def withdrawn(world: World, pods: Sequence[Object], *, waited: Mapping[str, float]) -> frozenset[str]:
    """Names of the replicas to withdraw. One for which an autoscaler adds a node gets the time that this may take."""
    found = set()
    for pod in overdue(pods, waited=waited, patience=GRACE_SECONDS):
        if not await _may_get_one(world, pod, waited=waited):
            found.add(pod["metadata"]["name"])
    return frozenset(found)


async def stranded(world: World, pods: Sequence[Object], *, waited: Mapping[str, float]) -> bool:
    """Whether no pod has a node or can expect one, so that the next candidate is to be tried."""
    alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    if any(pod.get("spec", {}).get("nodeName") for pod in alive):
        return False
    waiting = [pod for pod in alive if waited.get(pod["metadata"]["name"], 0.0) > GRACE_SECONDS]
    return bool(waiting) and not any([await _may_get_one(world, pod, waited=waited) for pod in waiting])


async def _may_get_one(world: World, pod: Object, *, waited: Mapping[str, float]) -> bool:
    """Whether an autoscaler may be adding a node for it."""
    return waited[pod["metadata"]["name"]] < world.config.provisioning_seconds and (
        bool(world.config.provisionable) or await _node_is_coming(world, pod)
    )


async def _node_is_coming(world: World, pod: Object) -> bool:
    metadata = pod["metadata"]
    events, _ = await world.client.list(
        EVENTS, namespace=metadata["namespace"], fields=f"involvedObject.uid={metadata['uid']}"
    )
    return any(event.get("reason") in _ADDS_NODE for event in events)
