"""The chart's life in a cluster that serves: its own test, an upgrade, removal, a new installation. Nobody notices."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import stack
from localk8s import cluster, images, paths

from tests.e2e.audit import AuditLog
from tests.e2e.chat import ask, router_client
from tests.e2e.conftest import CLUSTER, RESTRICTED, SYSTEM, make_namespace, remove_namespace
from tests.e2e.load import load
from tests.e2e.objects import engine_pods, leader, until_ready
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

OF_THE_RELEASE = "app.kubernetes.io/instance=gemma"
STATIC_INVENTORY = {
    "nodes": [
        {
            "accelerator": "l4",
            "gpusPerNode": 4,
            "nodes": 1,
            "labels": {"nvidia.com/gpu.product": "NVIDIA-L4", "kubernetes.io/os": "linux"},
        }
    ]
}
CRD = "gemmadeployments.gemma4stack.dev"
SPEC = {"model": "e2b", "pod": {"env": [{"name": "STANDIN_TOKENS_PER_SECOND", "value": "12"}]}}


@pytest.fixture
def installed(kubectl: Kubectl) -> Iterator[None]:
    """The chart as the other tests need it, whatever this one did."""
    yield
    install()
    eventually(lambda: leader(kubectl), seconds=90, what="an operator works")


def install(values: Object | None = None) -> None:
    [operator, *_] = images.build(stack.IMAGES)
    stack.install(CLUSTER, operator_image=operator, routers=1, values=values)


def uninstall(kubectl: Kubectl) -> None:
    stack.helm(CLUSTER, "uninstall", stack.RELEASE, "--wait", "--timeout=120s", log="helm-uninstall")
    eventually(
        lambda: kubectl.find("pods", namespace=SYSTEM), until=lambda pods: not pods, seconds=60, what="no operator"
    )


def test_it_says_itself_that_it_works(kubectl: Kubectl) -> None:
    eventually(lambda: leader(kubectl), seconds=90, what="an operator works")
    stack.helm(CLUSTER, "test", stack.RELEASE, "--timeout=120s", log="helm-test")


def test_upgrade_removal_and_return_cost_nothing(
    kubectl: Kubectl, audit: AuditLog, namespace: str, installed: None
) -> None:
    kubectl("label", "namespace", SYSTEM, RESTRICTED, "--overwrite")
    kubectl.apply(gemma("chat", SPEC), namespace=namespace)
    until_ready(kubectl, namespace, "chat")
    engines = {pod["metadata"]["uid"] for pod in engine_pods(kubectl, namespace, "chat")}
    before = leader(kubectl)["metadata"]["name"]
    with load(kubectl, namespace, "chat", rate=0.5, tokens=60) as running:
        chart = str(paths.REPOSITORY / stack.CHART)
        words = ("upgrade", stack.RELEASE, chart, "--reuse-values", "--set=config.scrapeSeconds=4")
        stack.helm(CLUSTER, *words, "--wait", "--timeout=180s", log="helm-upgrade")
        eventually(
            lambda: leader(kubectl)["metadata"]["name"],
            until=lambda name: name != before,
            seconds=90,
            what="an operator with the new configuration works",
        )
        uninstall(kubectl)
        assert conditions(kubectl.get("crd", CRD))["Established"]["status"] == "True"
        with router_client(kubectl, namespace) as client:
            assert ask(client, "chat"), "what runs goes on without an operator"
        kubectl("delete", "pod", "-n", namespace, "-l", "app.kubernetes.io/name=gemma-engine", "--wait=false")
        replaced = eventually(
            lambda: {pod["metadata"]["uid"] for pod in engine_pods(kubectl, namespace, "chat")},
            until=lambda uids: uids and not uids & engines,
            seconds=120,
            what="Kubernetes replaces a lost replica by itself",
        )
        start = audit.position()
        install()
        eventually(lambda: leader(kubectl), seconds=90, what="an operator works")
        until_ready(kubectl, namespace, "chat")
    running.check(at_least=5)
    assert {pod["metadata"]["uid"] for pod in engine_pods(kubectl, namespace, "chat")} == replaced
    written = [write for write in audit.writes(since=start) if f" {namespace}/" in write]
    assert not [write for write in written if "gemmadeployments" not in write], "a new installation changes nothing"


@pytest.fixture
def unserved(kubectl: Kubectl) -> Iterator[str]:
    """A namespace that an operator of some namespaces does not serve."""
    name = make_namespace(kubectl)
    yield name
    remove_namespace(kubectl, name)


@pytest.mark.parametrize("reads_nodes", [True, False], ids=["beside the nodes", "alone"])
def test_in_namespaced_mode_it_serves_its_namespaces_and_asks_for_nothing_else(
    kubectl: Kubectl, audit: AuditLog, namespace: str, unserved: str, installed: None, reads_nodes: bool
) -> None:
    uninstall(kubectl)
    start = audit.position()
    values: Object = {"watchNamespaces": [namespace]}
    if not reads_nodes:
        values |= {"rbac": {"nodes": False, "aggregateClusterRoles": False}, "config": {"inventory": STATIC_INVENTORY}}
    install(values)
    roles = [role["metadata"]["name"] for role in kubectl.find("clusterroles", selector=OF_THE_RELEASE)]
    assert any(name.endswith("-nodes") for name in roles) == reads_nodes
    assert "gemma-operator" not in roles, "its rights are Roles of the namespaces that it serves"
    for place in (namespace, unserved):
        kubectl.apply(gemma("chat", SPEC), namespace=place)
    until_ready(kubectl, namespace, "chat")
    with router_client(kubectl, namespace) as client:
        assert ask(client, "chat")
    kubectl("scale", "gdep", "chat", "-n", namespace, "--replicas=2")
    eventually(
        lambda: len(engine_pods(kubectl, namespace, "chat")), until=lambda count: count == 2, seconds=60, what="two"
    )
    assert "conditions" not in kubectl.get("gdep", "chat", namespace=unserved).get("status", {})
    assert engine_pods(kubectl, unserved, "chat") == []
    asked = audit.namespaces(since=start)
    assert unserved not in asked
    if not reads_nodes:
        assert asked == {namespace, SYSTEM}, "nothing of the whole cluster"
    install()  # it serves the whole cluster now
    until_ready(kubectl, unserved, "chat")


def test_an_upgrade_from_the_commit_before_restarts_no_engine(
    kubectl: Kubectl, namespace: str, installed: None, tmp_path: Path
) -> None:
    before, image = tmp_path / "before", "local/gemma-operator:before"
    _export(before)
    images.build_from(before, "operator", tag=image)
    cluster.load(CLUSTER, [image])
    uninstall(kubectl)
    stack.install(CLUSTER, operator_image=image, routers=1, tree=before)
    kubectl.apply(gemma("chat", SPEC), namespace=namespace)
    until_ready(kubectl, namespace, "chat")
    engines = {pod["metadata"]["uid"] for pod in engine_pods(kubectl, namespace, "chat")}
    old = leader(kubectl)["metadata"]["name"]
    with load(kubectl, namespace, "chat", rate=0.5, tokens=60) as running:
        install()
        eventually(
            lambda: leader(kubectl)["metadata"]["name"],
            until=lambda name: name != old,
            seconds=90,
            what="the new operator works",
        )
        change = '{"spec":{"router":{"aliases":["after"]}}}'
        kubectl("patch", "gdep", "chat", "-n", namespace, "--type=merge", "-p", change)
        eventually(
            lambda: kubectl.get("gdep", "chat", namespace=namespace)["status"]["endpoint"]["models"],
            until=lambda models: "after" in models,
            seconds=60,
            what="the new operator carries out a change",
        )
        until_ready(kubectl, namespace, "chat")
    running.check(at_least=5)
    [engine] = engine_pods(kubectl, namespace, "chat")
    assert {engine["metadata"]["uid"]} == engines
    assert sum(status["restartCount"] for status in engine["status"]["containerStatuses"]) == 0


def _export(tree: Path) -> None:
    """The commit before this one; where the checkout has none, this tree as it stands."""
    git = ["git", "-c", "safe.directory=*", "-C", str(paths.REPOSITORY)]
    archive = subprocess.run([*git, "archive", "HEAD^"], capture_output=True, check=False)
    tree.mkdir()
    if archive.returncode == 0:
        subprocess.run(["tar", "-x", "-C", str(tree)], input=archive.stdout, check=True)
        return
    print("no commit before this one is here: the upgrade is one to the same version")
    for folder in ("charts", "hack", "operator", "requirements", "tests"):
        shutil.copytree(paths.REPOSITORY / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(paths.REPOSITORY / file, tree / file)
