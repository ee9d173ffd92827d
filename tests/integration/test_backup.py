"""All GemmaDeployments in an empty cluster, from nothing but what `kubectl gemma export` wrote."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from localk8s import binaries
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.observing import define, ready
from tests.integration.operator_process import ROOT, Operator
from tests.kubectl import Kubectl, Object, gemma

pytestmark = pytest.mark.timeout(300)
NAMESPACES = ("backup-a", "backup-b")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[ControlPlane]:
    """A second cluster that knows GemmaDeployments and has none."""
    plane = ControlPlane(f"restored-{os.getpid()}", directory=tmp_path / "restored")
    try:
        plane.start()
        kubectl = Kubectl(binary=binaries.path("kubectl"), kubeconfig=plane.kubeconfig)
        define(kubectl)
        yield plane
    finally:
        plane.stop()


def furnish(kubectl: Kubectl) -> None:
    kubectl.apply(fleet.l4("l4-a", count=8), fleet.plain("cpu-a"))
    for namespace in NAMESPACES:
        kubectl("create", "namespace", namespace)


def plans(kubectl: Kubectl) -> dict[str, Object]:
    """What runs of each GemmaDeployment, and what it answers to."""
    found = {}
    for obj in kubectl.find("gdep", namespace="backup-a") + kubectl.find("gdep", namespace="backup-b"):
        status, key = obj["status"], f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
        found[key] = {
            "plan": status["plan"]["pools"],
            "models": status["endpoint"]["models"],
            "spec": obj["spec"],
            "labels": obj["metadata"].get("labels"),
        }
    return found


def test_everything_is_made_anew_from_the_deployments_alone(
    control_plane: ControlPlane, kubectl: Kubectl, empty: ControlPlane, tmp_path: Path
) -> None:
    # An export of all namespaces holds what other tests left, too.
    kubectl("delete", "gdep", "--all", "-A", timeout=240)
    furnish(kubectl)
    try:
        with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config={"namespaces": [*NAMESPACES]}):
            labelled = gemma("chat", {"model": "e4b", "router": {"aliases": ["gpt"]}})
            labelled["metadata"]["labels"] = {"team": "a"}
            kubectl.apply(labelled, gemma("code", {"model": "12b", "context": 16384}), namespace="backup-a")
            kubectl.apply(gemma("chat", {"model": "e2b", "scaling": {"min": 2, "max": 4}}), namespace="backup-b")
            for namespace, name in (("backup-a", "chat"), ("backup-a", "code"), ("backup-b", "chat")):
                ready(kubectl, name, namespace, seconds=90)
            before = plans(kubectl)
            command = [sys.executable, "-m", "gemma_operator.cli", "export", "-A"]
            environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)}
            done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
        there = Kubectl(binary=binaries.path("kubectl"), kubeconfig=empty.kubeconfig)
        furnish(there)
        there("apply", "-f", "-", stdin=done.stdout)
        with Operator(kubeconfig=empty.kubeconfig, folder=tmp_path):
            for namespace, name in (("backup-a", "chat"), ("backup-a", "code"), ("backup-b", "chat")):
                ready(there, name, namespace, seconds=90)
            assert plans(there) == before
    finally:
        kubectl("delete", "gdep", "--all", "-A", check=False)
        kubectl("delete", "namespace", *NAMESPACES, "--wait=false")
        kubectl("delete", "nodes", "--all")
