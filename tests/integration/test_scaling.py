"""Replicas that find no node, an HPA in charge, and a fleet whose engines say nothing."""

from collections.abc import Iterator

import pytest
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

pytestmark = pytest.mark.timeout(300)
NODES = (fleet.l4("l4-a", count=1), fleet.l4("l4-b", count=1), fleet.l4("l4-c", count=2))
SPEC: Object = {"model": "e2b", "accelerators": ["l4"], "router": {"enabled": False}}


@pytest.fixture(scope="module")
def operator(
    control_plane: ControlPlane, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    kubectl.apply(*NODES)
    try:
        with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path_factory.mktemp("operator")) as running:
            yield running
    finally:
        kubectl("delete", "nodes", "--all")


@pytest.fixture(autouse=True)
def free_gpus(operator: Operator, kubectl: Kubectl) -> None:
    """What the tests before asked for is gone."""
    kubectl("delete", "gdep", "--all", "-A", "--wait=false")
    eventually(
        lambda: kubectl.find("gdep,pods"), until=lambda left: not left, seconds=120, what="all GPUs are free again"
    )


def until(kubectl: Kubectl, namespace: str, name: str, *, replicas: int, seconds: float = 60) -> Object:
    """The object once so many replicas are asked for and Ready."""
    return eventually(
        lambda: kubectl.get("gdep", name, namespace=namespace),
        until=lambda obj: obj.get("status", {}).get("ready") == f"{replicas}/{replicas}",
        seconds=seconds,
        what=f"{name} has {replicas} replicas",
    )


def set_scaling(kubectl: Kubectl, namespace: str, name: str, patch: str) -> None:
    kubectl("patch", "gdep", name, "-n", namespace, "--type=merge", "-p", f'{{"spec":{patch}}}')


def test_engines_that_say_nothing_leave_the_number_alone(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    """The faked pods have addresses that nobody answers on."""
    kubectl.apply(gemma("mute", SPEC), namespace=namespace)
    until(kubectl, namespace, "mute", replicas=1)
    condition = eventually(
        lambda: conditions(kubectl.get("gdep", "mute", namespace=namespace))["ScalingActive"],
        until=lambda found: found["reason"] == "NoMetrics",
        seconds=60,
        what="missing metrics are told",
    )
    assert condition["status"] == "False"
    assert "replicas stay at 1" in condition["message"]


def test_more_replicas_than_gpus_are_not_asked_for(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("many", SPEC), namespace=namespace)
    until(kubectl, namespace, "many", replicas=1)
    set_scaling(kubectl, namespace, "many", '{"scaling":{"min":7,"max":9}}')
    obj = until(kubectl, namespace, "many", replicas=4)
    degraded = eventually(
        lambda: conditions(kubectl.get("gdep", "many", namespace=namespace))["Degraded"],
        until=lambda found: found["status"] == "True",
        seconds=60,
        what="the shortage is told",
    )
    assert degraded["reason"] == "TooFewGPUs"
    assert degraded["message"] == "7 replicas are wanted and 4 can run: no more free l4"
    decision = obj["status"]["decisions"][0]
    assert (decision["before"], decision["after"]) == (1, 4)
    events = kubectl.find("events", namespace=namespace)
    assert any(event["reason"] == "Scaled" and "1 → 4" in event["message"] for event in events)
    kubectl.apply(fleet.l4("l4-late", count=2))
    until(kubectl, namespace, "many", replicas=6)


def test_a_replica_without_a_node_is_taken_back(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("pair", {**SPEC, "scaling": {"min": 2}}), namespace=namespace)
    until(kubectl, namespace, "pair", replicas=2)
    pods = kubectl.find("pods", namespace=namespace, selector="gemma4stack.dev/deployment=pair")
    nodes = [node["metadata"]["name"] for node in kubectl.find("nodes")]
    kubectl("cordon", *nodes)
    try:
        kubectl("delete", "pod", pods[0]["metadata"]["name"], "-n", namespace, "--force", "--grace-period=0")
        obj = until(kubectl, namespace, "pair", replicas=1, seconds=180)
        assert "no node" in obj["status"]["decisions"][0]["reason"]
        assert "2 → 1" in obj["status"]["decisions"][0]["reason"]
        eventually(
            lambda: conditions(kubectl.get("gdep", "pair", namespace=namespace))["Degraded"],
            until=lambda found: (found["status"], found["reason"]) == ("True", "TooFewGPUs"),
            seconds=60,
            what="the shortage is told",
        )
    finally:
        kubectl("uncordon", *nodes)


def test_an_hpa_decides_and_the_operator_carries_it_out(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    """The HPA controller raises what is below its minimum and lowers what is above its maximum without any metric."""
    spec = {**SPEC, "replicas": 1, "scaling": {"mode": "external"}}
    kubectl.apply(gemma("by-hpa", spec), namespace=namespace)
    obj = until(kubectl, namespace, "by-hpa", replicas=1)
    assert conditions(obj)["ScalingActive"]["reason"] == "External"
    kubectl.apply(_hpa(minimum=3, maximum=4), namespace=namespace)
    until(kubectl, namespace, "by-hpa", replicas=3, seconds=120)
    kubectl.apply(_hpa(minimum=1, maximum=2), namespace=namespace)
    obj = until(kubectl, namespace, "by-hpa", replicas=2, seconds=120)
    assert obj["spec"]["replicas"] == 2
    assert conditions(obj)["ScalingActive"]["reason"] == "External"


def _hpa(*, minimum: int, maximum: int) -> Object:
    target = {"apiVersion": "gemma4stack.dev/v1alpha1", "kind": "GemmaDeployment", "name": "by-hpa"}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "by-hpa"},
        "spec": {"scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": maximum, "metrics": [cpu]},
    }
