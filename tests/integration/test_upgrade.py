"""`kubectl gemma upgrade` with the real operator: nothing rolls without it, and it rolls one after the other.

An operator of another configuration stands for one of another version: both render other pods from the same spec.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.observing import ready
from tests.integration.operator_process import Operator
from tests.integration.test_cli import Cli
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

pytestmark = pytest.mark.timeout(300)

NAMES = ("first", "second")
TOKEN = "gemma4stack.dev/upgrade"
DELAY = "pod-ready.stage.kwok.x-k8s.io/delay"
SLOW = {"pod": {"annotations": {DELAY: "4s"}}}
"""Pods that take a while, so that there is something to wait for."""


@pytest.fixture(scope="module")
def nodes(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(fleet.l4("l4-a", count=8), fleet.plain("cpu-a"))
    yield
    kubectl("delete", "nodes", "--all")


@pytest.fixture
def cli(control_plane: ControlPlane) -> Cli:
    return Cli(control_plane.kubeconfig)


def pods(kubectl: Kubectl, namespace: str, name: str) -> list[Object]:
    found = kubectl.find("pods", namespace=namespace, selector=f"gemma4stack.dev/deployment={name}")
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def uids(kubectl: Kubectl, namespace: str) -> dict[str, list[str]]:
    return {name: sorted(pod["metadata"]["uid"] for pod in pods(kubectl, namespace, name)) for name in NAMES}


def status(kubectl: Kubectl, namespace: str, name: str) -> Object:
    found: Object = kubectl.get("gdep", name, namespace=namespace)["status"]
    return found


def steps(text: str) -> dict[str, str]:
    return {each["name"]: each["step"] for each in json.loads(text)["items"]}


def test_only_an_upgrade_rolls_and_one_after_the_other(
    control_plane: ControlPlane, nodes: None, kubectl: Kubectl, namespace: str, cli: Cli, tmp_path: Path
) -> None:
    before: dict[str, Any] = {"namespaces": [namespace], "resyncSeconds": 10}
    after: dict[str, Any] = before | {"engine": {"version": "0.32.1", "huggingFaceEndpoint": "https://hub.example.com"}}
    config = tmp_path / "after.yaml"
    config.write_text(yaml.safe_dump(after))
    options = ("-n", namespace, "--config", str(config))
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=before):
        spec = {"model": "e2b", "accelerators": ["l4"], **SLOW}
        kubectl.apply(*(gemma(name, spec) for name in NAMES), namespace=namespace)
        for name in NAMES:
            ready(kubectl, name, namespace)
            assert "outdated" not in status(kubectl, namespace, name)
    old = uids(kubectl, namespace)

    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=after):
        # A new operator rolls nothing, and says so.
        for name in NAMES:
            told = eventually(
                partial(status, kubectl, namespace, name),
                until=lambda found: bool(found.get("outdated")),
                seconds=60,
                what="it is outdated",
            )["outdated"]
            assert told.startswith("engine vllm 0.32.0, now 0.32.1; pods as an older operator")
        assert uids(kubectl, namespace) == old
        listed = cli.run("status", "-n", namespace)
        assert f"an older version runs in {namespace}/first, {namespace}/second" in listed.stderr

        # The preview shows what would change, and changes nothing.
        versions = [kubectl.get("gdep", name, namespace=namespace)["metadata"]["generation"] for name in NAMES]
        preview = json.loads(cli("upgrade", "--all", "--dry-run", "-o", "json", *options))["items"]
        assert [(each["name"], each["step"]) for each in preview] == [(name, "roll") for name in NAMES]
        assert "engine 0.32.0 → 0.32.1" in preview[0]["summary"]
        assert "+        image: docker.io/vllm/vllm-openai:v0.32.1" in preview[0]["manifest"]
        assert "+          value: https://hub.example.com" in preview[0]["manifest"]
        shown = cli("upgrade", "--all", "--dry-run", *options)
        assert "--- Deployment/first-0 as applied" in [line.rstrip() for line in shown.splitlines()]
        for name in NAMES:
            metadata = kubectl.get("gdep", name, namespace=namespace)["metadata"]
            assert TOKEN not in metadata.get("annotations", {})
        assert versions == [kubectl.get("gdep", name, namespace=namespace)["metadata"]["generation"] for name in NAMES]
        assert uids(kubectl, namespace) == old

        # The first that is not ready in time ends it: the second is not touched.
        done = cli.run("upgrade", "--all", "--timeout", "1", *options)
        assert done.returncode == 1
        assert f"{namespace}/first is not ready after 1 s" in done.stderr
        assert f"not begun: {namespace}/second" in done.stderr
        assert uids(kubectl, namespace)["second"] == old["second"]
        eventually(
            lambda: not set(uids(kubectl, namespace)["first"]) & set(old["first"]), seconds=60, what="first is replaced"
        )
        obj = ready(kubectl, "first", namespace)
        assert obj["status"]["plan"]["pools"][0]["engineVersion"] == "0.32.1"
        assert "outdated" not in obj["status"]
        assert status(kubectl, namespace, "second")["outdated"]

        # Again: what is current is left alone, the other one is rolled.
        between = uids(kubectl, namespace)
        assert steps(cli("upgrade", "--all", "-o", "json", *options)) == {"first": "current", "second": "roll"}
        now = uids(kubectl, namespace)
        assert now["first"] == between["first"]
        assert not set(now["second"]) & set(old["second"])
        assert "outdated" not in status(kubectl, namespace, "second"), "the command waited until it was done"
        [pod] = pods(kubectl, namespace, "second")
        assert pod["spec"]["containers"][0]["image"].endswith(":v0.32.1")

        # Nothing is left to do, and taking the annotation away rolls nothing either.
        assert steps(cli("upgrade", "--all", "-o", "json", *options)) == {"first": "current", "second": "current"}
        kubectl("annotate", "gdep", "--all", "-n", namespace, f"{TOKEN}-")
        eventually(
            lambda: [status(kubectl, namespace, name).get("observedUpgrade") for name in NAMES],
            until=lambda found: found == [None, None],
            seconds=60,
            what="the operator saw that the annotation is gone",
        )
        assert uids(kubectl, namespace) == now


def test_all_at_once_is_one_after_the_other(
    control_plane: ControlPlane, nodes: None, kubectl: Kubectl, namespace: str, cli: Cli, tmp_path: Path
) -> None:
    before: dict[str, Any] = {"namespaces": [namespace]}
    after: dict[str, Any] = before | {"engine": {"version": "0.32.1"}}
    config = tmp_path / "after.yaml"
    config.write_text(yaml.safe_dump(after))
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=before):
        spec = {"model": "e2b", "accelerators": ["l4"], **SLOW}
        kubectl.apply(*(gemma(name, spec) for name in NAMES), namespace=namespace)
        for name in NAMES:
            ready(kubectl, name, namespace)
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=after):
        done = cli.run("upgrade", "second", "first", "-n", namespace, "--config", str(config))
        assert done.returncode == 0, done.stderr
        begun = [line.split(":")[0] for line in done.stderr.splitlines() if "upgrading (" in line]
        assert begun == [f"{namespace}/second", f"{namespace}/first"]
        # Kubernetes' own clock: the first was asked for when the second's new pod was ready, and not before.
        [pod] = pods(kubectl, namespace, "second")
        since = next(each["lastTransitionTime"] for each in pod["status"]["conditions"] if each["type"] == "Ready")
        raw = kubectl("get", "gdep", "first", "-n", namespace, "-o", "json", "--show-managed-fields")
        fields = json.loads(raw)["metadata"]["managedFields"]
        asked = next(each["time"] for each in fields if each["manager"] == "kubectl-gemma")
        assert asked >= since
        assert conditions(kubectl.get("gdep", "second", namespace=namespace))["Ready"]["status"] == "True"


def test_what_cannot_be_upgraded_is_told(
    control_plane: ControlPlane, nodes: None, kubectl: Kubectl, namespace: str, cli: Cli, tmp_path: Path
) -> None:
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config={"namespaces": [namespace]}):
        kubectl.apply(gemma("first", {"model": "e2b"}), namespace=namespace)
        ready(kubectl, "first", namespace)
        kubectl("annotate", "gdep", "first", "-n", namespace, "gemma4stack.dev/paused=")
    [told] = json.loads(cli("upgrade", "first", "-n", namespace, "-o", "json"))["items"]
    assert told["step"] == "skip"
    assert told["summary"] == "paused: remove the annotation gemma4stack.dev/paused first"
    assert TOKEN not in kubectl.get("gdep", "first", namespace=namespace)["metadata"]["annotations"]


def test_an_upgrade_that_never_becomes_ready_is_taken_back_and_can_be_tried_again(
    control_plane: ControlPlane, nodes: None, kubectl: Kubectl, namespace: str, cli: Cli, tmp_path: Path
) -> None:
    before: dict[str, Any] = {"namespaces": [namespace]}
    after: dict[str, Any] = before | {"engine": {"version": "0.32.1"}}
    config = tmp_path / "after.yaml"
    config.write_text(yaml.safe_dump(after))
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=before):
        spec = {"model": "e2b", "accelerators": ["l4"], "pod": {"annotations": {DELAY: "30s"}}}
        kubectl.apply(gemma("first", spec), namespace=namespace)
        ready(kubectl, "first", namespace, seconds=120)
    [old] = pods(kubectl, namespace, "first")
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=after):
        running = cli.start("upgrade", "first", "-n", namespace, "--config", str(config), "-o", "json")
        try:
            eventually(
                lambda: kubectl.get("deployment", "first-0", namespace=namespace)["status"],
                until=lambda status: status.get("updatedReplicas") == 1 and status.get("replicas") == 2,
                seconds=60,
                what="the new version has a pod",
            )
            _pass_the_deadline(kubectl, "first-0", namespace)
            assert running.wait(120) == 1
        finally:
            running.kill()
            running.communicate()
        told = conditions(kubectl.get("gdep", "first", namespace=namespace))
        assert told["Stalled"]["reason"] == "RolledBack"
        eventually(
            lambda: [pod["metadata"]["uid"] for pod in pods(kubectl, namespace, "first")],
            until=lambda found: found == [old["metadata"]["uid"]],
            seconds=60,
            what="what ran before runs on",
        )

        # Asked for again it is tried again: what failed may have been put right outside the cluster.
        assert steps(cli("upgrade", "first", "-n", namespace, "--config", str(config), "-o", "json")) == {
            "first": "roll"
        }
        told = conditions(kubectl.get("gdep", "first", namespace=namespace))
        assert (told["Ready"]["status"], told["Stalled"]["status"]) == ("True", "False")
        [new] = pods(kubectl, namespace, "first")
        assert new["spec"]["containers"][0]["image"].endswith(":v0.32.1")


def _pass_the_deadline(kubectl: Kubectl, name: str, namespace: str) -> None:
    """Say of a rollout what Kubernetes would after its deadline; it keeps to that while nothing moves."""
    condition = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "too slow",
    }
    patch = json.dumps({"status": {"conditions": [condition]}})
    kubectl("patch", "deployment", name, "-n", namespace, "--subresource=status", "--type=strategic", "-p", patch)
