"""What is rendered, in a real API server: accepted, admitted, and `first_drift` agrees with server-side apply."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.render.drift import first_drift
from gemma_operator.render.router import render_router
from gemma_operator.render.types import DeploymentIdentity, Object, Route
from gemma_router import source

from tests.kubectl import Kubectl, as_list
from tests.unit.render.builders import of_kind
from tests.unit.render.shapes import SHAPES

Objects = dict[str, Object]


@pytest.fixture(scope="module")
def owner(kubectl: Kubectl) -> Iterator[DeploymentIdentity]:
    """A GemmaDeployment that exists, or garbage collection would remove what it owns; no operator runs."""
    namespace = "rendered"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    kubectl.apply(
        {"apiVersion": "gemma4stack.dev/v1alpha1", "kind": "GemmaDeployment", "metadata": {"name": "chat"}},
        namespace=namespace,
    )
    found = json.loads(kubectl("get", "gdep", "chat", "-n", namespace, "-o", "json"))
    yield DeploymentIdentity(name="chat", namespace=namespace, uid=found["metadata"]["uid"])
    kubectl("delete", "namespace", namespace, "--wait=false")


def apply(kubectl: Kubectl, *manifests: Object) -> list[Object]:
    """The live objects after a server-side apply as the operator does it."""
    answer = kubectl(
        *("apply", "--server-side", "--force-conflicts", "--field-manager=gemma-operator", "-o", "json", "-f", "-"),
        stdin=as_list(manifests),
    )
    return items(answer)


def items(answer: str) -> list[Object]:
    """The objects of an answer of kubectl, which is a list only when there are several."""
    found: Object = json.loads(answer)
    return list(found["items"]) if found["kind"] == "List" else [found]


def live_of(kubectl: Kubectl, manifest: Object) -> Object:
    """The object as it is now."""
    metadata = manifest["metadata"]
    answer = kubectl("get", manifest["kind"], metadata["name"], "-n", metadata["namespace"], "-o", "json")
    live: Object = json.loads(answer)
    return live


def router_of(owner: DeploymentIdentity) -> list[Object]:
    """A router with the real source of `gemma_router`."""
    return render_router(
        namespace=owner.namespace,
        router="gemma-router",
        owners=(owner,),
        routes=(Route(name="chat", aliases=("gpt-4o-mini",), max_num_seqs=32, context_tokens=8192),),
        config=OperatorConfig(),
        operator_namespace="gemma-system",
        code=source.files(),
    )


def rendered(name: str, owner: DeploymentIdentity) -> list[Object]:
    """Objects of the router, or of a shape."""
    if name == "router":
        return router_of(owner)
    (shape,) = [shape for shape in SHAPES if shape.name == name]
    return shape.objects(owner)


@pytest.mark.parametrize("name", [*(shape.name for shape in SHAPES), "router"])
def test_the_server_keeps_what_was_applied_and_a_second_apply_writes_nothing(
    name: str, kubectl: Kubectl, owner: DeploymentIdentity
) -> None:
    manifests = rendered(name, owner)
    applied = apply(kubectl, *manifests)
    again = apply(kubectl, *manifests)
    for manifest, first, second in zip(manifests, applied, again, strict=True):
        assert first_drift(applied=manifest, live=first) is None
        assert content(first) == content(second)


@pytest.mark.parametrize("name", [*(shape.name for shape in SHAPES), "router"])
def test_pods_are_admitted_by_the_real_pod_security_admission(
    name: str, kubectl: Kubectl, owner: DeploymentIdentity
) -> None:
    template = of_kind(rendered(name, owner), "Deployment")["spec"]["template"]
    spec = {**template["spec"], "serviceAccountName": "default"}
    # Only these need other objects to exist.
    spec.pop("priorityClassName", None)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "p"}, "spec": spec}
    kubectl("create", "--dry-run=server", "-n", owner.namespace, "-f", "-", stdin=json.dumps(pod))


def test_pod_security_admission_is_on(kubectl: Kubectl, owner: DeploymentIdentity) -> None:
    template = of_kind(rendered("e2b-l4", owner), "Deployment")["spec"]["template"]
    spec = {**template["spec"], "hostNetwork": True}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    refused = kubectl.run("create", "--dry-run=server", "-n", owner.namespace, "-f", "-", stdin=json.dumps(pod))
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


Patch = list[dict[str, Any]]
CONTAINER = "/spec/template/spec/containers/0"
EDITS: dict[str, tuple[str, Patch, bool]] = {
    "arguments": ("Deployment", [{"op": "add", "path": f"{CONTAINER}/args/-", "value": "--enforce-eager"}], True),
    "image": ("Deployment", [{"op": "replace", "path": f"{CONTAINER}/image", "value": "other"}], True),
    "variable removed": ("Deployment", [{"op": "remove", "path": f"{CONTAINER}/env/0"}], True),
    "variable added": (
        "Deployment",
        [{"op": "add", "path": f"{CONTAINER}/env/0", "value": {"name": "EXTRA", "value": "1"}}],
        False,
    ),
    "toleration added": (
        "Deployment",
        [{"op": "add", "path": "/spec/template/spec/tolerations/-", "value": {"operator": "Exists"}}],
        True,
    ),
    "volume added": (
        "Deployment",
        [{"op": "add", "path": "/spec/template/spec/volumes/-", "value": {"name": "extra", "emptyDir": {}}}],
        False,
    ),
    "memory in another spelling": (
        "Deployment",
        [{"op": "replace", "path": f"{CONTAINER}/resources/limits/memory", "value": "10485760Ki"}],
        False,
    ),
    "memory": (
        "Deployment",
        [
            {"op": "replace", "path": f"{CONTAINER}/resources/limits/memory", "value": "99Gi"},
        ],
        True,
    ),
    "secret made optional": (
        "Deployment",
        [{"op": "add", "path": f"{CONTAINER}/env/INDEX/valueFrom/secretKeyRef/optional", "value": True}],
        True,
    ),
    "restart": (
        "Deployment",
        [
            {
                "op": "add",
                "path": "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt",
                "value": "now",
            }
        ],
        False,
    ),
    "replicas": ("Deployment", [{"op": "add", "path": "/spec/replicas", "value": 7}], False),
    "strategy": (
        "Deployment",
        [{"op": "replace", "path": "/spec/strategy/rollingUpdate/maxSurge", "value": "25%"}],
        True,
    ),
    "affinity term added": (
        "Deployment",
        [
            {
                "op": "add",
                "path": "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution"
                "/nodeSelectorTerms/-",
                "value": {"matchExpressions": [{"key": "x", "operator": "Exists"}]},
            }
        ],
        True,
    ),
    "selector of the service": ("Service", [{"op": "add", "path": "/spec/selector/track", "value": "canary"}], True),
    "port of the service": ("Service", [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9}], True),
    "label": ("Service", [{"op": "remove", "path": "/metadata/labels/gemma4stack.dev~1router"}], True),
    "label of another": ("Service", [{"op": "add", "path": "/metadata/labels/other", "value": "x"}], False),
    "annotation of another": ("Service", [{"op": "add", "path": "/metadata/annotations/other", "value": "x"}], False),
    "owner removed": ("Service", [{"op": "remove", "path": "/metadata/ownerReferences"}], True),
    "rule opened": ("NetworkPolicy", [{"op": "remove", "path": "/spec/ingress/0/from"}], True),
    "peer added": (
        "NetworkPolicy",
        [{"op": "add", "path": "/spec/ingress/0/from/-", "value": {"namespaceSelector": {}}}],
        True,
    ),
    "peer widened": (
        "NetworkPolicy",
        [{"op": "replace", "path": "/spec/ingress/0/from/0/podSelector", "value": {}}],
        True,
    ),
    "port range": ("NetworkPolicy", [{"op": "add", "path": "/spec/ingress/0/ports/0/endPort", "value": 9000}], True),
    "egress added": ("NetworkPolicy", [{"op": "add", "path": "/spec/policyTypes/-", "value": "Egress"}], True),
    "budget": ("PodDisruptionBudget", [{"op": "replace", "path": "/spec/maxUnavailable", "value": 0}], True),
    "budget selects others": (
        "PodDisruptionBudget",
        [{"op": "add", "path": "/spec/selector/matchLabels/track", "value": "canary"}],
        True,
    ),
    "script": ("ConfigMap", [{"op": "replace", "path": "/data/startup_probe.py", "value": "exit(0)"}], True),
    "another script": ("ConfigMap", [{"op": "add", "path": "/data/other.py", "value": "exit(0)"}], False),
}


@pytest.fixture(scope="module")
def engine(kubectl: Kubectl, owner: DeploymentIdentity) -> Objects:
    """The objects of e2b on L4, applied."""
    objects = rendered("e2b-l4", owner)
    apply(kubectl, *objects)
    return {manifest["kind"]: manifest for manifest in objects}


def content(live: Object) -> Object:
    """What an apply could change, without the bookkeeping of API server and Deployment controller."""
    kept = {key: value for key, value in live.items() if key != "status"}
    own = ("managedFields", "resourceVersion", "generation")
    metadata = {key: value for key, value in live["metadata"].items() if key not in own}
    annotations = {
        key: value
        for key, value in metadata.get("annotations", {}).items()
        if key != "deployment.kubernetes.io/revision"
    }
    return {**kept, "metadata": {**metadata, "annotations": annotations}}


@pytest.mark.parametrize("edit", EDITS)
def test_drift_is_what_an_apply_would_change(edit: str, kubectl: Kubectl, engine: Objects) -> None:
    kind, patch, expected = EDITS[edit]
    manifest = engine[kind]
    apply(kubectl, manifest)
    edited = patched(kubectl, manifest, patch)
    drift = first_drift(applied=manifest, live=edited)
    (healed,) = apply(kubectl, manifest)
    # The API server's verdict, then ours against it.
    assert (content(healed) != content(edited)) is expected
    assert (drift is not None) is expected, drift
    assert first_drift(applied=manifest, live=healed) is None


def patched(kubectl: Kubectl, manifest: Object, patch: Patch) -> Object:
    """The live object after somebody else edited it."""
    live = live_of(kubectl, manifest)
    text = json.dumps(patch)
    if "INDEX" in text:
        entries = live["spec"]["template"]["spec"]["containers"][0]["env"]
        index = next(number for number, entry in enumerate(entries) if entry["name"] == "VLLM_API_KEY")
        text = text.replace("INDEX", str(index))
    metadata = manifest["metadata"]
    answer = kubectl(
        *("patch", manifest["kind"], metadata["name"], "-n", metadata["namespace"], "--field-manager=somebody"),
        *("--type=json", "-p", text, "-o", "json"),
    )
    edited: Object = json.loads(answer)
    return edited


def test_a_user_that_leaves_is_taken_off_the_routers_objects(kubectl: Kubectl, owner: DeploymentIdentity) -> None:
    kubectl.apply(
        {"apiVersion": "gemma4stack.dev/v1alpha1", "kind": "GemmaDeployment", "metadata": {"name": "code"}},
        namespace=owner.namespace,
    )
    uid = json.loads(kubectl("get", "gdep", "code", "-n", owner.namespace, "-o", "json"))["metadata"]["uid"]
    second = DeploymentIdentity(name="code", namespace=owner.namespace, uid=uid)
    service = of_kind(router_with(owner, second), "Service")
    (both,) = apply(kubectl, service)
    assert len(both["metadata"]["ownerReferences"]) == 2
    alone = of_kind(router_with(owner), "Service")
    assert first_drift(applied=alone, live=both) is not None
    (left,) = apply(kubectl, alone)
    assert [reference["uid"] for reference in left["metadata"]["ownerReferences"]] == [owner.uid]
    assert first_drift(applied=alone, live=left) is None


def router_with(*owners: DeploymentIdentity) -> list[Object]:
    """The router of these users."""
    return render_router(
        namespace=owners[0].namespace,
        router="gemma-router",
        owners=owners,
        routes=(),
        config=OperatorConfig(),
        operator_namespace="gemma-system",
        code=source.files(),
    )
