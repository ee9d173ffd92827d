"""The chart's life in a cluster that serves: its own test, an upgrade, removal, a new installation. Nobody notices."""

from collections.abc import Iterator

import pytest
import stack
from localk8s import images

from tests.e2e.audit import AuditLog
from tests.e2e.chat import ask, router_client
from tests.e2e.conftest import CLUSTER, RESTRICTED, SYSTEM
from tests.e2e.load import load
from tests.e2e.objects import engine_pods, leader, until_ready
from tests.kubectl import Kubectl, conditions, eventually, gemma

CRD = "gemmadeployments.gemma4stack.dev"
SPEC = {"model": "e2b", "pod": {"env": [{"name": "STANDIN_TOKENS_PER_SECOND", "value": "12"}]}}


@pytest.fixture
def installed(kubectl: Kubectl) -> Iterator[None]:
    """The chart as the other tests need it, whatever this one did."""
    yield
    install()
    eventually(lambda: leader(kubectl), seconds=90, what="an operator works")


def install() -> None:
    [operator, *_] = images.build(stack.IMAGES)
    stack.install(CLUSTER, operator_image=operator, routers=1)


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
        words = ("upgrade", stack.RELEASE, str(stack.CHART), "--reuse-values", "--set=config.scrapeSeconds=4")
        stack.helm(CLUSTER, *words, "--wait", "--timeout=180s", log="helm-upgrade")
        eventually(
            lambda: leader(kubectl)["metadata"]["name"],
            until=lambda name: name != before,
            seconds=90,
            what="an operator with the new configuration works",
        )
        stack.helm(CLUSTER, "uninstall", stack.RELEASE, "--wait", "--timeout=120s", log="helm-uninstall")
        assert not kubectl.find("pods", namespace=SYSTEM)
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
