"""Why engine pods do not run: the pods, their Deployment and the engine's own words → one reason and a next step.

Pure. `logs` are the last lines of containers that failed, by pod name; whoever calls reads them (`needs_log` says of
which pods) because reading is I/O.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gemma_operator.api import names
from gemma_operator.api.conditions import Reason
from gemma_operator.cluster.resources import Object
from gemma_operator.reconcile.engine_log import explain_log

LOG_LINES = 200
_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_MISSING_SECRET = re.compile(r'(secret "[^"]+" not found|couldn\'t find key \S+ in Secret \S+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What keeps a pod from running."""

    reason: Reason
    message: str
    pod: str = ""


def container_status(pod: Object, *, container: str) -> Object:
    """Status of one container, `{}` before the kubelet reported it."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return next((status for status in statuses if status.get("name") == container), {})


def needs_log(pod: Object, *, container: str = names.ENGINE_CONTAINER) -> bool:
    """Whether only the container's log can tell why it failed."""
    status = container_status(pod, container=container)
    terminated = _last_end(status)
    if pod["metadata"].get("deletionTimestamp") or status.get("ready") or not terminated:
        return False
    return bool(terminated.get("reason") != "OOMKilled")


def diagnose(
    *,
    deployment: Object | None,
    pods: Iterable[Object],
    logs: Mapping[str, str],
    events: Mapping[str, str],
    container: str = names.ENGINE_CONTAINER,
    startup_budget_seconds: int = 0,
) -> Diagnosis | None:
    """The most telling failure, or `None` when nothing is wrong.

    `events` maps a pod name to the message of its last warning event, for probe failures that only events show.
    """
    findings = [
        finding
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
        if not pod["metadata"].get("deletionTimestamp")
        for finding in [
            _of_pod(
                pod,
                container=container,
                log=logs.get(pod["metadata"]["name"], ""),
                event=events.get(pod["metadata"]["name"], ""),
                budget=startup_budget_seconds,
            )
        ]
        if finding is not None
    ]
    return findings[0] if findings else _not_created(deployment)


def _of_pod(pod: Object, *, container: str, log: str, event: str, budget: int) -> Diagnosis | None:
    name = pod["metadata"]["name"]
    if unschedulable := _unschedulable(pod):
        return Diagnosis(
            reason=Reason.UNSCHEDULABLE,
            message=f"pod {name} finds no node: {unschedulable}; free GPUs or add such a node, or compare "
            "`kubectl gemma plan` with the cluster",
            pod=name,
        )
    if _node_lost(pod):
        return Diagnosis(
            reason=Reason.NODE_LOST,
            message=f"pod {name}: node {pod['spec'].get('nodeName', '')} does not answer; the replica is replaced when "
            "its toleration ends, or at once if you delete the Node",
            pod=name,
        )
    status = container_status(pod, container=container)
    waiting = status.get("state", {}).get("waiting") or {}
    if waiting.get("reason") in _PULL:
        return Diagnosis(
            reason=Reason.IMAGE_PULL,
            message=f"pod {name} cannot pull {status.get('image', 'its image')}: {_short(waiting.get('message', ''))}; "
            "check the image in the operator's configuration and spec.pod.imagePullSecrets",
            pod=name,
        )
    if waiting.get("reason") == "CreateContainerConfigError":
        return _config_error(name, waiting.get("message", ""))
    end = _last_end(status)
    if not end or status.get("ready"):
        return None
    if end.get("reason") == "OOMKilled":
        return Diagnosis(
            reason=Reason.OUT_OF_MEMORY_HOST,
            message=f"pod {name}: the kernel killed the engine for exceeding its memory limit (host RAM, not GPU); "
            "raise spec.pod.resources.limits.memory",
            pod=name,
        )
    if "Startup probe failed" in event and end.get("exitCode") in (0, 137, 143):
        return Diagnosis(
            reason=Reason.STARTUP_TOO_SLOW,
            message=f"pod {name} did not answer within its start-up budget of {budget} s and was restarted; if its "
            "log shows progress, use spec.weights.cache, or raise engine.startupBudgetSeconds in the operator's "
            "configuration",
            pod=name,
        )
    if "Liveness probe failed" in event and end.get("exitCode") in (0, 137, 143):
        return Diagnosis(
            reason=Reason.ENGINE_HUNG,
            message=f"pod {name}: the engine stopped answering /health and was restarted; read kubectl logs {name} "
            "--previous, and check the GPU of its node",
            pod=name,
        )
    # Exit code 0 is no success: vLLM's server ends with it when its engine process died.
    return _crash(name, end=end, log=log, restarts=int(status.get("restartCount", 0)))


def _crash(name: str, *, end: Object, log: str, restarts: int) -> Diagnosis:
    cause = explain_log(log)
    if cause is not None:
        return Diagnosis(reason=cause.reason, message=f"pod {name}: {cause.message}", pod=name)
    last = next((line for line in reversed(log.splitlines()) if "rror" in line), "")
    return Diagnosis(
        reason=Reason.CRASH_LOOP,
        message=f"pod {name}: the engine exited with code {end.get('exitCode')} ({restarts} restarts)"
        + (f": {_short(last)}" if last else "")
        + f"; read kubectl logs {name} --previous",
        pod=name,
    )


def _config_error(name: str, message: str) -> Diagnosis:
    missing = _MISSING_SECRET.search(message)
    if missing:
        return Diagnosis(
            reason=Reason.SECRET_MISSING,
            message=f"pod {name} waits: {missing.group(1)}; create it in this namespace and the pod goes on by itself",
            pod=name,
        )
    return Diagnosis(
        reason=Reason.CRASH_LOOP,
        message=f"pod {name} cannot be configured: {_short(message)}; check spec.pod.env",
        pod=name,
    )


def _unschedulable(pod: Object) -> str:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return _short(condition.get("message", "no reason given"))
    return ""


def _node_lost(pod: Object) -> bool:
    """Whether the control plane took a pod's readiness: a kubelet gives a reason, and only with its containers'."""
    found = {condition.get("type"): condition for condition in pod.get("status", {}).get("conditions") or ()}
    ready, containers = found.get("Ready", {}), found.get("ContainersReady", {})
    return (ready.get("status"), containers.get("status")) == ("False", "True") and not ready.get("reason")


def _not_created(deployment: Object | None) -> Diagnosis | None:
    for condition in (deployment or {}).get("status", {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            message = _short(condition.get("message", ""))
            remedy = (
                "raise the ResourceQuota or ask for less"
                if "exceeded quota" in message
                else "change what the namespace's admission refuses, or spec.pod"
            )
            return Diagnosis(reason=Reason.NOT_CREATED, message=f"pods cannot be created: {message}; {remedy}")
    return None


def _last_end(status: Object) -> Object:
    state, last = status.get("state", {}), status.get("lastState", {})
    end: Object = state.get("terminated") or last.get("terminated") or {}
    return end


def _short(text: str, *, limit: int = 300) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
