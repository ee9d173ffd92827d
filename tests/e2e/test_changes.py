"""What happens to running streams and to the cluster when a spec changes, pods die or the operator does."""

import json
import time
from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.e2e.audit import AuditLog
from tests.e2e.chat import ask, router_client, start_streams, until_answered
from tests.e2e.objects import engine_pods, leader, left_over, until_condition, until_ready
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

OPERATOR = "gemma-operator"
SYSTEM = "gemma-system"
QUIET_SECONDS = 60
LEASE_SECONDS = 15
SPEC = {"model": "e2b", "pod": {"env": [{"name": "STANDIN_TOKENS_PER_SECOND", "value": "12"}]}}


@pytest.fixture(scope="module")
def chat(kubectl: Kubectl, shared_namespace: str) -> Object:
    """A small deployment with slow streams, Ready."""
    kubectl.apply(gemma("chat", SPEC), namespace=shared_namespace)
    return until_ready(kubectl, shared_namespace, "chat")


@pytest.fixture(scope="module")
def client(kubectl: Kubectl, shared_namespace: str, chat: Object) -> Iterator[OpenAI]:
    """A client of the router."""
    with router_client(kubectl, shared_namespace) as made:
        until_answered(made, "chat")
        yield made


def test_a_new_context_rolls_the_engine_and_cuts_no_stream(
    kubectl: Kubectl, shared_namespace: str, client: OpenAI
) -> None:
    before = {pod["metadata"]["uid"] for pod in engine_pods(kubectl, shared_namespace, "chat")}
    streams = start_streams(client, "chat", count=4, tokens=360)
    assert not any(one.ended.is_set() for one in streams)
    kubectl("patch", "gdep", "chat", "-n", shared_namespace, "--type=merge", "-p", '{"spec":{"context":16384}}')
    obj = until_ready(kubectl, shared_namespace, "chat")
    assert obj["status"]["plan"]["pools"][0]["maxModelLen"] >= 16384
    pods = eventually(
        lambda: engine_pods(kubectl, shared_namespace, "chat"),
        until=lambda pods: len(pods) == 1 and pods[0]["metadata"]["uid"] not in before,
        seconds=120,
        what="one new engine pod",
    )
    assert f"--max-model-len={obj['status']['plan']['pools'][0]['maxModelLen']}" in _arguments(pods[0])
    for one in streams:
        assert one.ended.wait(120), "a stream did not end"
        assert (one.error, one.finish, one.tokens) == ("", "length", 360)
    assert ask(client, "chat")


def test_a_killed_engine_pod_heals_and_the_router_follows(
    kubectl: Kubectl, shared_namespace: str, client: OpenAI
) -> None:
    [pod] = engine_pods(kubectl, shared_namespace, "chat")
    kubectl("delete", "pod", pod["metadata"]["name"], "-n", shared_namespace, "--force", "--grace-period=0")
    eventually(
        lambda: engine_pods(kubectl, shared_namespace, "chat"),
        until=lambda pods: [p["metadata"]["uid"] for p in pods] not in ([], [pod["metadata"]["uid"]]),
        seconds=60,
        what="a new engine pod",
    )
    until_ready(kubectl, shared_namespace, "chat")
    assert until_answered(client, "chat", seconds=30)


@pytest.mark.parametrize("kind", ["service", "networkpolicy", "poddisruptionbudget", "deployment"])
def test_a_deleted_object_is_made_again(kubectl: Kubectl, shared_namespace: str, chat: Object, kind: str) -> None:
    name = "chat-0" if kind == "deployment" else "chat"
    before = kubectl.get(kind, name, namespace=shared_namespace)["metadata"]["uid"]
    kubectl("delete", kind, name, "-n", shared_namespace, "--wait=false")
    eventually(
        lambda: kubectl.get(kind, name, namespace=shared_namespace)["metadata"]["uid"],
        until=lambda uid: uid != before,
        seconds=60,
        what=f"a new {kind} {name}",
    )
    until_ready(kubectl, shared_namespace, "chat")


def test_an_edited_object_is_put_right(kubectl: Kubectl, shared_namespace: str, chat: Object) -> None:
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.invalid/other:1"}]
    kubectl("patch", "deployment", "chat-0", "-n", shared_namespace, "--type=json", "-p", json.dumps(patch))
    label = '{"spec":{"selector":{"gemma4stack.dev/deployment":"somebody-else"}}}'
    kubectl("patch", "service", "chat", "-n", shared_namespace, "--type=merge", "-p", label)
    eventually(
        lambda: kubectl.get("deployment", "chat-0", namespace=shared_namespace),
        until=lambda obj: obj["spec"]["template"]["spec"]["containers"][0]["image"] != "registry.invalid/other:1",
        seconds=60,
        what="the image is put right",
    )
    eventually(
        lambda: kubectl.get("service", "chat", namespace=shared_namespace)["spec"]["selector"],
        until=lambda selector: selector["gemma4stack.dev/deployment"] == "chat",
        seconds=60,
        what="the selector is put right",
    )
    until_ready(kubectl, shared_namespace, "chat")


def test_a_rollout_restart_is_no_drift(kubectl: Kubectl, shared_namespace: str, chat: Object) -> None:
    kubectl("rollout", "restart", "deployment/chat-0", "-n", shared_namespace)
    kubectl("rollout", "status", "deployment/chat-0", "-n", shared_namespace, "--timeout=180s", timeout=200)
    template = kubectl.get("deployment", "chat-0", namespace=shared_namespace)["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    until_ready(kubectl, shared_namespace, "chat")


def test_kubectl_scale_is_obeyed_and_explained(kubectl: Kubectl, shared_namespace: str, chat: Object) -> None:
    kubectl("scale", "gdep/chat", "-n", shared_namespace, "--replicas=2")
    obj = until_ready(kubectl, shared_namespace, "chat")
    assert obj["status"]["ready"] == "2/2"
    path = f"/apis/gemma4stack.dev/v1alpha1/namespaces/{shared_namespace}/gemmadeployments/chat/scale"
    scale = json.loads(kubectl("get", "--raw", path))
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (2, 2)
    scaling = until_condition(
        kubectl, shared_namespace, "chat", kind="ScalingActive", status="False", reason="FixedReplicas", seconds=30
    )
    message = next(c["message"] for c in scaling["status"]["conditions"] if c["type"] == "ScalingActive")
    assert "kubectl patch gdep chat" in message
    kubectl(
        "patch",
        "gdep",
        "chat",
        "-n",
        shared_namespace,
        "--type=json",
        "-p",
        '[{"op":"remove","path":"/spec/replicas"}]',
    )
    eventually(
        lambda: kubectl.get("gdep", "chat", namespace=shared_namespace)["status"]["ready"],
        until=lambda ready: ready == "1/1",
        seconds=120,
        what="one replica again",
    )


def test_an_operator_killed_in_the_middle_converges(kubectl: Kubectl, namespace: str) -> None:
    names = ["first", "second", "third"]
    kubectl.apply(*(gemma(name, {"model": "e2b"}) for name in names), namespace=namespace)
    eventually(
        lambda: kubectl.find("services,deployments", namespace=namespace),
        until=bool,
        seconds=60,
        what="the first object of the operator",
    )
    _kill_operator(kubectl)
    for name in names:
        until_ready(kubectl, namespace, name)
    for name in names:
        kubectl("delete", "gdep", name, "-n", namespace, "--wait=false")
    _kill_operator(kubectl)
    eventually(
        lambda: left_over(kubectl, namespace), until=lambda items: not items, seconds=240, what="nothing is left"
    )


@pytest.mark.timeout(900)
def test_a_restart_on_a_converged_cluster_writes_nothing(
    kubectl: Kubectl, audit: AuditLog, shared_namespace: str, client: OpenAI
) -> None:
    until_ready(kubectl, shared_namespace, "chat")
    _until_quiet(audit)
    start = audit.position()
    before = leader(kubectl)["metadata"]["name"]
    _kill_operator(kubectl)
    kubectl("rollout", "status", f"deployment/{OPERATOR}", "-n", SYSTEM, "--timeout=180s", timeout=200)
    # The test proves nothing unless the new process works and has read everything that it would write from.
    _new_leader(kubectl, before)
    eventually(
        lambda: audit.lists(since=start),
        until={"gemmadeployments", "deployments", "services", "configmaps", "pods", "nodes"}.issubset,
        seconds=60,
        what="the new operator lists what it owns",
    )
    deadline = time.time() + QUIET_SECONDS
    while time.time() < deadline:
        assert audit.writes(since=start) == []
        time.sleep(1)
    assert ask(client, "chat")
    # And it is awake: a change is acted upon.
    kubectl(
        "patch",
        "gdep",
        "chat",
        "-n",
        shared_namespace,
        "--type=merge",
        "-p",
        '{"spec":{"router":{"aliases":["late"]}}}',
    )
    eventually(lambda: audit.writes(since=start), until=bool, seconds=60, what="a write after a change")


def test_the_leader_is_killed_under_load(
    kubectl: Kubectl, audit: AuditLog, shared_namespace: str, client: OpenAI
) -> None:
    """Another takes over within the lease's time; nothing is written twice, no stream is lost.

    It is the one that stood by, or the one that replaces the killed, which is up before the lease has run out.
    """
    until_ready(kubectl, shared_namespace, "chat")
    eventually(lambda: _operators(kubectl), until=lambda pods: len(pods) == 2, seconds=120, what="two operators")
    _until_quiet(audit)
    engines = {pod["metadata"]["uid"] for pod in engine_pods(kubectl, shared_namespace, "chat")}
    before = leader(kubectl)["metadata"]["name"]
    start = audit.position()
    streams = start_streams(client, "chat", count=4, tokens=480)
    kubectl("delete", "pod", before, "-n", SYSTEM, "--force", "--grace-period=0", "--wait=false")
    _new_leader(kubectl, before)
    change = '{"spec":{"router":{"aliases":["after"]}}}'
    kubectl("patch", "gdep", "chat", "-n", shared_namespace, "--type=merge", "-p", change)
    assert until_answered(client, "after"), "the new leader carries out a change"
    for one in streams:
        assert one.ended.wait(180), "a stream did not end"
        assert (one.error, one.finish, one.tokens) == ("", "length", 480)
    took = audit.takeover(before)
    print(f"another operator held the lease {took:.1f} s after the last renewal")
    assert took < 2 * LEASE_SECONDS, "one lease, and a machine as busy as this one"
    written = [write.split(" ", 1)[1] for write in audit.writes(since=start)]
    objects = [write for write in written if "gemmadeployments" not in write]
    assert objects == [f"patch configmaps {shared_namespace}/gemma-router-routes"], written
    assert {pod["metadata"]["uid"] for pod in engine_pods(kubectl, shared_namespace, "chat")} == engines


def _operators(kubectl: Kubectl) -> set[str]:
    pods = kubectl.find("pods", namespace=SYSTEM, selector="app.kubernetes.io/name=gemma-operator")
    return {
        pod["metadata"]["name"]
        for pod in pods
        if conditions(pod).get("Ready", {}).get("status") == "True" and not pod["metadata"].get("deletionTimestamp")
    }


def _new_leader(kubectl: Kubectl, before: str) -> None:
    """Wait until another operator works than that one. A lease lasts 15 s and is asked for every 2 s."""
    eventually(
        lambda: leader(kubectl)["metadata"]["name"],
        until=lambda name: name != before,
        seconds=60,
        what="another operator works",
    )


def _until_quiet(audit: AuditLog, *, seconds: float = 15) -> None:
    """Wait until the operator wrote nothing for a while, so that what follows is its restart's doing."""
    quiet_since, position = time.monotonic(), audit.position()
    deadline = time.monotonic() + 180
    while time.monotonic() - quiet_since < seconds:
        written = audit.writes(since=position)
        assert time.monotonic() < deadline, f"the operator goes on writing: {written[-5:]}"
        if written:
            quiet_since, position = time.monotonic(), audit.position()
        time.sleep(1)


def _kill_operator(kubectl: Kubectl) -> None:
    selector = "app.kubernetes.io/name=gemma-operator"
    kubectl("delete", "pods", "-n", SYSTEM, "-l", selector, "--force", "--grace-period=0", "--wait=false")


def _arguments(pod: Object) -> list[str]:
    [engine] = [container for container in pod["spec"]["containers"] if container["name"] == "engine"]
    return [*engine.get("command", []), *engine.get("args", [])]
