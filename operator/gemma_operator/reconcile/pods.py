"""What a pod's status says."""

from datetime import datetime

from gemma_operator.cluster.resources import Object


def is_ready(pod: Object) -> bool:
    """Whether a pod is Ready."""
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in pod.get("status", {}).get("conditions") or ()
    )


def address(pod: Object) -> str:
    """IP address of a pod, empty while it has none."""
    return str(pod.get("status", {}).get("podIP") or "")


def has_started(pod: Object) -> bool:
    """Whether its engine passed its start-up probe: before that it answers nothing."""
    return any(status.get("started") for status in pod.get("status", {}).get("containerStatuses") or ())


def startup_seconds(pod: Object) -> float | None:
    """Seconds from creation to Ready of a pod that never restarted; `None` where that is not to be told."""
    statuses = pod.get("status", {})
    if any(status.get("restartCount") for status in statuses.get("containerStatuses") or ()):
        return None
    since = ready_since(pod)
    return None if since is None else max(0.0, (since - created(pod)).total_seconds())


def ready_since(pod: Object) -> datetime | None:
    """Since when the pod is Ready; `None` while it is not."""
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            return datetime.fromisoformat(condition["lastTransitionTime"])
    return None


def created(pod: Object) -> datetime:
    """When the pod was created."""
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])


def loads_since(pod: Object) -> datetime | None:
    """Since when a pod that is not Ready has been on its way: on a node, and not Ready; `None` without a node."""
    if not pod.get("spec", {}).get("nodeName"):
        return None
    moments = [created(pod)]
    for condition in pod.get("status", {}).get("conditions") or ():
        state = (condition.get("type"), condition.get("status"))
        if state in {("PodScheduled", "True"), ("Ready", "False")} and condition.get("lastTransitionTime"):
            moments.append(datetime.fromisoformat(condition["lastTransitionTime"]))
    return max(moments)
