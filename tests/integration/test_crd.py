"""The CRD in a real API server: what it answers at `kubectl apply`, what it fills in, what tools can do with it."""

import json

import pytest

from tests.kubectl import Kubectl, Object, gemma, includes
from tests.unit.api.cases import BAD, BAD_OBJECTS, GOOD, Bad

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_bad_specs_are_answered_with_field_and_remedy(kubectl: Kubectl, bad: Bad) -> None:
    answer = kubectl.refused(gemma("chat", bad.spec), namespace="default")
    assert bad.says in answer
    assert bad.field in answer


@pytest.mark.parametrize(("_name", "obj", "says"), BAD_OBJECTS, ids=[name for name, _, _ in BAD_OBJECTS])
def test_bad_objects_are_answered_with_the_remedy(kubectl: Kubectl, _name: str, obj: Object, says: str) -> None:
    answer = kubectl.refused({**gemma(obj["metadata"]["name"]), **obj}, namespace="default")
    assert says in answer


@pytest.mark.parametrize("spec", [spec for _, spec in GOOD], ids=[name for name, _ in GOOD])
def test_good_specs_are_stored_as_written(kubectl: Kubectl, namespace: str, spec: Object) -> None:
    kubectl.apply(gemma("chat", spec), namespace=namespace)
    stored = kubectl.get("gdep", "chat", namespace=namespace)["spec"]
    assert includes(stored, spec), stored


def test_defaults_are_filled_in_even_without_a_spec(kubectl: Kubectl, namespace: str) -> None:
    bare = gemma("chat")
    del bare["spec"]
    kubectl.apply(bare, namespace=namespace)
    assert kubectl.get("gdep", "chat", namespace=namespace)["spec"] == {
        "model": "auto",
        "precision": "auto",
        "engine": "auto",
        "context": 8192,
        "concurrency": 8,
        "typicalTokens": 2048,
        "tokensPerSecond": 10,
        "scaling": {
            "min": 1,
            "max": 4,
            "preference": "balanced",
            "mode": "operator",
            "idleBefore0": "15m",
            "drainTimeout": "5m",
        },
        "priority": 0,
        "router": {"enabled": True, "name": "gemma-router"},
        "features": {"tools": True, "thinking": False},
        "rollout": "auto",
    }


def test_without_validation_unknown_fields_are_dropped(kubectl: Kubectl, namespace: str) -> None:
    obj = json.dumps(gemma("chat", {"adapters": [{"name": "x"}]}))
    kubectl("apply", "-n", namespace, "--validate=false", "-f", "-", stdin=obj)
    assert "adapters" not in kubectl.get("gdep", "chat", namespace=namespace)["spec"]


def test_kubectl_explain_knows_every_field(kubectl: Kubectl) -> None:
    assert "Tokens of prompt and answer that one request may use" in kubectl("explain", "gdep.spec.context")
    tree = kubectl("explain", "gdep.spec", "--recursive")
    assert "drainTimeout" in tree
    assert "secretKeyRef" in tree


def test_kubectl_scale_writes_replicas(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat"), namespace=namespace)
    kubectl("scale", "gdep/chat", "-n", namespace, "--replicas=3")
    assert kubectl.get("gdep", "chat", namespace=namespace)["spec"]["replicas"] == 3
    status = {"replicas": 2, "selector": "gemma4stack.dev/deployment=chat"}
    _patch_status(kubectl, namespace, status)
    path = f"/apis/gemma4stack.dev/v1alpha1/namespaces/{namespace}/gemmadeployments/chat/scale"
    scale = json.loads(kubectl("get", "--raw", path))
    assert scale["spec"]["replicas"] == 3
    assert scale["status"] == status


def test_columns_show_the_summary_of_status(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat"), namespace=namespace)
    _patch_status(
        kubectl,
        namespace,
        {
            "model": "12b int4",
            "accelerator": "1×l4",
            "ready": "1/1",
            "queue": {
                "running": 3,
                "waiting": 1,
                "held": 1,
                "summary": "3 running, 2 waiting",
                "at": "2026-01-01T00:00:00Z",
            },
            "phase": "Ready",
            "costPerHour": "0.71",
            "reason": "Serving",
        },
    )
    header, row = kubectl("get", "gdep", "-n", namespace).splitlines()
    assert header.split() == ["NAME", "MODEL", "ACCELERATOR", "READY", "QUEUE", "PHASE", "AGE"]
    assert row.split()[:10] == ["chat", "12b", "int4", "1×l4", "1/1", "3", "running,", "2", "waiting", "Ready"]
    header, row = kubectl("get", "gemma", "-n", namespace, "-o", "wide").splitlines()
    assert header.split()[-2:] == ["COST/H", "REASON"]
    assert row.split()[-2:] == ["0.71", "Serving"]


def test_spec_writes_leave_status_alone_and_the_other_way_round(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat"), namespace=namespace)
    _patch_status(kubectl, namespace, {"phase": "Ready", "observedGeneration": 1})
    kubectl.apply(gemma("chat", {"context": 4096}), namespace=namespace)
    stored = kubectl.get("gdep", "chat", namespace=namespace)
    assert stored["status"] == {"phase": "Ready", "observedGeneration": 1}
    assert stored["metadata"]["generation"] == 2


def _patch_status(kubectl: Kubectl, namespace: str, status: Object) -> None:
    body = json.dumps({"status": status})
    kubectl("patch", "gdep", "chat", "-n", namespace, "--subresource=status", "--type=merge", "-p", body)
