"""`scaling.mode: external`: the real HPA controller decides by a real metric, and the operator carries it out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from localk8s import images

from tests.e2e.load import load, script, script_pod
from tests.e2e.loaded import deploy, until_replicas
from tests.e2e.objects import ENGINE
from tests.kubectl import Kubectl, Object, conditions, eventually

pytestmark = pytest.mark.long
SERVER = Path(__file__).parent / "metric_server.py"
METRICS = "metrics"
ROUTERS = "router-pods"
PER_REPLICA = 2


@pytest.fixture
def metric(kubectl: Kubectl, namespace: str) -> Iterator[None]:
    """external.metrics.k8s.io of the cluster tells the requests of deployment `chat` of this namespace."""
    image = images.recipes(images.TABLE.read_text(encoding="utf-8"))["router"].tag
    kubectl.apply(
        _service(ROUTERS, {"app.kubernetes.io/name": "gemma-router"}, {"clusterIP": "None"}, port=4001, target=4001),
        _service(METRICS, {"app": METRICS}, {}, port=443, target=8443),
        script(SERVER),
        script_pod(METRICS, SERVER, [ROUTERS, "chat"], image=image, labels={"app": METRICS}),
        namespace=namespace,
    )
    kubectl.apply(_api_service(namespace))
    try:
        kubectl("wait", "--for=condition=Available", f"apiservice/{_NAME}", "--timeout=120s", timeout=130)
        yield
    finally:
        # Before the namespace goes: its deletion waits for every API group to answer.
        kubectl("delete", "apiservice", _NAME)


def test_an_hpa_decides_by_the_routers_requests_and_nothing_is_cut(
    kubectl: Kubectl, namespace: str, metric: None
) -> None:
    """Three requests per second of two seconds are six at a time, two per replica; then one every other second."""
    deploy(kubectl, namespace, replicas=1, scaling={"mode": "external"})
    kubectl.apply(_hpa(), namespace=namespace)
    with load(kubectl, namespace, "chat", rate=3, tokens=24) as busy:
        obj = until_replicas(kubectl, namespace, at_least=3, seconds=240)
        hpa = kubectl.get("hpa", "chat", namespace=namespace)
        assert conditions(hpa)["ScalingActive"]["reason"] == "ValidMetricFound"
        assert hpa["status"]["currentMetrics"][0]["external"]["metric"]["name"] == "gemma-requests"
        assert conditions(obj)["ScalingActive"]["reason"] == "External"
    busy.check(at_least=30)
    with load(kubectl, namespace, "chat", rate=0.5, tokens=36) as quiet:
        eventually(
            lambda: kubectl.find("pods", namespace=namespace, selector=ENGINE),
            until=lambda pods: len(pods) == 1,
            seconds=300,
            what="all replicas but one have drained",
        )
        obj = eventually(
            lambda: kubectl.get("gdep", "chat", namespace=namespace),
            until=lambda found: found["spec"]["replicas"] == 1 and conditions(found)["Ready"]["status"] == "True",
            seconds=60,
            what="one replica is wanted and serves",
        )
    quiet.check(at_least=3)
    assert not obj["status"].get("decisions"), "the operator decides nothing itself"
    events = kubectl.find("events", namespace=namespace)
    print([event["message"] for event in events if event["reason"] == "SuccessfulRescale"])


_NAME = "v1beta1.external.metrics.k8s.io"


def _api_service(namespace: str) -> Object:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": _NAME},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": METRICS, "namespace": namespace},
        },
    }


def _service(name: str, selector: dict[str, str], spec: Object, *, port: int, target: int) -> Object:
    ports = [{"port": port, "targetPort": target}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": ports, **spec},
    }


def _hpa() -> Object:
    """Down after 15 s, for a test; the default is five minutes."""
    external = {
        "metric": {"name": "gemma-requests", "selector": {"matchLabels": {"deployment": "chat"}}},
        "target": {"type": "AverageValue", "averageValue": str(PER_REPLICA)},
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "chat"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "gemma4stack.dev/v1alpha1", "kind": "GemmaDeployment", "name": "chat"},
            "minReplicas": 1,
            "maxReplicas": 4,
            "metrics": [{"type": "External", "external": external}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 15}},
        },
    }
