"""Engine pods that fail: each failure is told apart and named with a next step within 60 s of being visible."""

import dataclasses
from collections.abc import Iterator

import pytest
import stack

from tests.e2e.conftest import CLUSTER
from tests.e2e.objects import until_condition, until_ready
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

VISIBLE_SECONDS = 60
START_SECONDS = 60
"""Scheduling, image and first crash, before anything is visible."""
CRASHES = (
    ("oom", "GPUOutOfMemory", "concurrency"),
    ("no-kv", "KVCacheTooSmall", "spec.context"),
    ("gated", "WeightsGated", "spec.weights.tokenSecretRef"),
    ("not-found", "WeightsNotFound", "spec.weights.endpoint"),
    ("no-space", "DiskFull", "spec.weights.cache"),
    ("driver-too-old", "DriverTooOld", "update the driver"),
    ("no-gpu", "NoGPUInPod", "device plugin"),
    ("segfault", "EngineCrashing", "kubectl logs"),
    ("host-oom", "HostOutOfMemory", "spec.pod.resources.limits.memory"),
)


@pytest.fixture(scope="module")
def crashing(kubectl: Kubectl, shared_namespace: str) -> Iterator[None]:
    """One deployment for each mood, all at once on a node with a GPU for each."""
    stack.advertise(CLUSTER, dataclasses.replace(stack.L4, count=16))
    kubectl.apply(*(gemma(mood, _with_mood(mood)) for mood, _, _ in CRASHES), namespace=shared_namespace)
    yield
    kubectl("delete", "gdep", "--all", "-n", shared_namespace, "--wait=false")
    stack.advertise(CLUSTER, stack.L4)


@pytest.mark.parametrize(("mood", "reason", "remedy"), CRASHES, ids=[mood for mood, _, _ in CRASHES])
def test_a_crash_is_named_by_its_cause(
    kubectl: Kubectl, shared_namespace: str, crashing: None, mood: str, reason: str, remedy: str
) -> None:
    obj = _until_named(kubectl, shared_namespace, reason, name=mood)
    assert remedy in conditions(obj)["Ready"]["message"]
    assert conditions(obj)["Stalled"]["status"] == "True"


def test_a_crash_that_passes_heals(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat", _with_mood("oom*1")), namespace=namespace)
    until_ready(kubectl, namespace, "chat")


def test_a_flag_that_the_engine_does_not_know_is_named(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat", _spec(pod={"extraArgs": ["--no-such-flag"]})), namespace=namespace)
    obj = _until_named(kubectl, namespace, "EngineRefusedFlags")
    assert "--no-such-flag" in conditions(obj)["Ready"]["message"]
    kubectl("patch", "gdep", "chat", "-n", namespace, "--type=merge", "-p", '{"spec":{"pod":{"extraArgs":[]}}}')
    until_ready(kubectl, namespace, "chat")


def test_pods_that_a_quota_refuses_are_told(kubectl: Kubectl, namespace: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    kubectl.apply(quota, namespace=namespace)
    kubectl.apply(gemma("chat", _spec()), namespace=namespace)
    obj = eventually(
        lambda: kubectl.get("gdep", "chat", namespace=namespace),
        until=lambda obj: conditions(obj).get("Ready", {}).get("reason") in ("QuotaExceeded", "PodsNotCreated"),
        seconds=VISIBLE_SECONDS,
        what="the quota is named",
    )
    assert "quota" in conditions(obj)["Ready"]["message"].lower()
    kubectl("delete", "resourcequota", "none", "-n", namespace)
    until_ready(kubectl, namespace, "chat", seconds=240)


def test_a_pod_that_no_node_takes_is_told(kubectl: Kubectl, namespace: str) -> None:
    spread = [
        {
            "maxSkew": 1,
            "topologyKey": "example.com/no-such-label",
            "whenUnsatisfiable": "DoNotSchedule",
        }
    ]
    kubectl.apply(gemma("chat", _spec(pod={"topologySpread": spread})), namespace=namespace)
    obj = _until_named(kubectl, namespace, "Unschedulable")
    assert "topology spread" in conditions(obj)["Ready"]["message"]
    kubectl("patch", "gdep", "chat", "-n", namespace, "--type=merge", "-p", '{"spec":{"pod":{"topologySpread":null}}}')
    until_ready(kubectl, namespace, "chat")


def _until_named(kubectl: Kubectl, namespace: str, reason: str, *, name: str = "chat") -> Object:
    return until_condition(
        kubectl,
        namespace,
        name,
        kind="Ready",
        status="False",
        reason=reason,
        seconds=START_SECONDS + VISIBLE_SECONDS,
    )


def _with_mood(mood: str) -> Object:
    return _spec(pod={"env": [{"name": "STANDIN_MOOD", "value": mood}]})


def _spec(**more: Object) -> Object:
    return {"model": "e2b", "router": {"enabled": False}, **more}
