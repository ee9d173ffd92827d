"""Failing pods become one reason and a next step."""

from typing import Any

import pytest
from gemma_operator.api.conditions import Reason
from gemma_operator.reconcile.diagnosis import diagnose, needs_log


def pod(*, status: dict[str, Any] | None = None, name: str = "chat-0-abc", **container: Any) -> dict[str, Any]:
    body: dict[str, Any] = status or {}
    if container:
        body = {**body, "containerStatuses": [{"name": "engine", "image": "img:1", **container}]}
    return {"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": {}, "status": body}


def find(*pods: dict[str, Any], logs: dict[str, str] | None = None, **kwargs: Any) -> Any:
    return diagnose(
        deployment=kwargs.pop("deployment", None), pods=pods, logs=logs or {}, events=kwargs.pop("events", {}), **kwargs
    )


def ended(code: int, reason: str = "Error", *, restarts: int = 1) -> dict[str, Any]:
    return {
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": code, "reason": reason}},
    }


def test_an_unschedulable_pod_quotes_the_scheduler() -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
    found = find(pod(status={"conditions": conditions}))
    assert found.reason == Reason.UNSCHEDULABLE
    assert "Insufficient nvidia.com/gpu" in found.message
    assert "kubectl gemma plan" in found.message


def test_a_pod_on_a_lost_node_is_told_from_one_that_is_not_ready() -> None:
    """The control plane turns Ready to False and touches nothing else; a kubelet says why."""
    running = {"type": "ContainersReady", "status": "True"}
    lost = pod(status={"conditions": [running, {"type": "Ready", "status": "False"}]})
    lost["spec"] = {"nodeName": "gpu-7"}
    found = find(lost)
    assert found.reason == Reason.NODE_LOST
    assert "node gpu-7 does not answer" in found.message
    gated = {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"}
    assert find(pod(status={"conditions": [running, gated]})) is None
    loads = {"type": "ContainersReady", "status": "False", "reason": "ContainersNotReady"}
    assert find(pod(status={"conditions": [loads, {**loads, "type": "Ready"}]})) is None


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_is_named(reason: str) -> None:
    found = find(pod(state={"waiting": {"reason": reason, "message": "not found"}}))
    assert found.reason == Reason.IMAGE_PULL
    assert "img:1" in found.message


def test_a_missing_secret_is_named() -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "hf" not found'}
    found = find(pod(state={"waiting": waiting}))
    assert found.reason == Reason.SECRET_MISSING
    assert 'secret "hf" not found' in found.message


def test_a_kill_for_host_memory_is_not_taken_for_gpu_memory() -> None:
    found = find(pod(**ended(137, "OOMKilled")))
    assert found.reason == Reason.OUT_OF_MEMORY_HOST


def test_a_start_that_takes_longer_than_its_budget() -> None:
    found = find(
        pod(**ended(143)),
        events={"chat-0-abc": "Startup probe failed: command timed out"},
        startup_budget_seconds=900,
    )
    assert found.reason == Reason.STARTUP_TOO_SLOW
    assert "900 s" in found.message


def test_a_crash_without_a_known_cause_quotes_the_last_error_line() -> None:
    found = find(pod(**ended(1, restarts=3)), logs={"chat-0-abc": "INFO ok\nValueError: something new\nbye"})
    assert found.reason == Reason.CRASH_LOOP
    assert "something new" in found.message
    assert "3 restarts" in found.message
    assert "kubectl logs chat-0-abc --previous" in found.message


def test_pods_that_the_quota_refuses_are_seen_on_the_deployment() -> None:
    message = 'pods "chat-0" is forbidden: exceeded quota: team, requested: requests.nvidia.com/gpu=1'
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    found = find(deployment={"status": {"conditions": [condition]}})
    assert found.reason == Reason.NOT_CREATED
    assert "exceeded quota: team" in found.message
    assert "raise the ResourceQuota" in found.message


@pytest.mark.parametrize(
    "healthy",
    [
        pod(state={"running": {}}, ready=True, lastState={"terminated": {"exitCode": 1}}),
        pod(state={"running": {}}, ready=False),
        pod(state={"waiting": {"reason": "ContainerCreating"}}),
        pod(),
    ],
    ids=["recovered", "loading", "creating", "fresh"],
)
def test_what_is_on_its_way_is_no_failure(healthy: dict[str, Any]) -> None:
    assert find(healthy) is None
    assert not needs_log(healthy)


def test_a_terminating_pod_is_not_diagnosed() -> None:
    dying = pod(**ended(137))
    dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert find(dying) is None
    assert not needs_log(dying)


def test_a_kill_for_memory_needs_no_log_and_every_other_end_does() -> None:
    assert needs_log(pod(**ended(1)))
    assert needs_log(pod(**ended(0, "Completed")))
    assert not needs_log(pod(**ended(137, "OOMKilled")))


def test_an_engine_that_ends_by_itself_is_a_failure_even_with_exit_code_0() -> None:
    found = find(pod(**ended(0, "Completed")), logs={"chat-0-abc": "EngineDeadError: EngineCore encountered an issue."})
    assert found.reason == Reason.CRASH_LOOP
    assert "EngineDeadError" in found.message


def test_an_engine_that_stopped_answering() -> None:
    found = find(pod(**ended(137)), events={"chat-0-abc": "Liveness probe failed: context deadline exceeded"})
    assert found.reason == Reason.ENGINE_HUNG
