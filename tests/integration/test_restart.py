"""The operator ends and begins again: nothing is written twice, nothing is forgotten.

Each test starts its own operator, and no other one runs meanwhile.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.audit import AuditLog
from tests.integration.observing import OPERATOR_AGENT, owned_names, ready, settled
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, eventually, gemma

ROUTER = "gemma4stack.dev/router=gemma-router,!gemma4stack.dev/deployment"
ROUTER_KINDS = "deployments,services,configmaps,poddisruptionbudgets,networkpolicies,serviceaccounts,rolebindings"


@pytest.fixture(scope="module")
def nodes(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(fleet.l4("l4-a", count=8), fleet.plain("cpu-a"))
    yield
    kubectl("delete", "nodes", "--all")


def test_a_restart_on_a_converged_cluster_writes_nothing(
    control_plane: ControlPlane, nodes: None, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    config: dict[str, Any] = {"namespaces": [namespace], "resyncSeconds": 10}
    names = ["one", "two", "three"]
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=config):
        kubectl.apply(*(gemma(name, {"model": "e2b"}) for name in names), namespace=namespace)
        for name in names:
            ready(kubectl, name, namespace)
        settled(control_plane, beats=1.5 * config["resyncSeconds"])
    log = AuditLog(control_plane.audit_log, agent=OPERATOR_AGENT)
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=config) as again:
        eventually(
            lambda: again.metric("gemma_operator_reconcile_total"),
            # Every key is looked at after the start and after each of two comparisons with a list.
            until=lambda count: count >= 3 * (len(names) + 1),
            seconds=90,
            what="everything was reconciled several times",
        )
    assert log.reads() > 0, "the audit log sees this operator"
    assert not log.writes()


def test_a_kill_in_the_middle_converges(
    control_plane: ControlPlane, nodes: None, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    config = {"namespaces": [namespace]}
    operator = Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=config)
    operator.start()
    kubectl.apply(gemma("one", {"model": "e2b"}), gemma("two", {"model": "e2b"}), namespace=namespace)
    eventually(
        lambda: kubectl.find("services", namespace=namespace), seconds=30, what="the operator is in the middle of it"
    )
    operator.stop(hard=True)
    with operator:
        ready(kubectl, "one", namespace)
        ready(kubectl, "two", namespace)
    names = owned_names(kubectl, namespace)
    assert len([name for name in names if name.startswith("Deployment/")]) == 3


def test_a_router_whose_objects_lost_their_owners_goes_after_a_restart(
    control_plane: ControlPlane, nodes: None, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    """Users that are deleted at once can leave objects without an owner, which no garbage collector removes."""
    config = {"namespaces": [namespace]}
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=config):
        kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
        ready(kubectl, "chat", namespace)
    made = kubectl.find(ROUTER_KINDS, namespace=namespace, selector=ROUTER)
    assert len({obj["kind"] for obj in made}) == len(ROUTER_KINDS.split(","))
    for obj in made:
        patch = '{"metadata":{"ownerReferences":null}}'
        kubectl("patch", obj["kind"], obj["metadata"]["name"], "-n", namespace, "--type=merge", "-p", patch)
    copy = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "copied", "labels": made[0]["metadata"]["labels"]},
    }
    kubectl.apply(copy, namespace=namespace)
    kubectl("delete", "gdep", "chat", "-n", namespace)
    eventually(
        lambda: kubectl.find("services", namespace=namespace, selector="gemma4stack.dev/deployment=chat"),
        until=lambda found: not found,
        seconds=60,
        what="the collector removed what still had an owner",
    )
    assert "Service/gemma-router" in owned_names(kubectl, namespace)
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=config):
        eventually(
            lambda: owned_names(kubectl, namespace),
            until=lambda left: left == {"ConfigMap/copied"},
            seconds=60,
            what="nothing is left but what somebody else made with the same labels",
        )


def test_a_wrong_configuration_names_the_field_and_does_not_start(control_plane: ControlPlane, tmp_path: Path) -> None:
    operator = Operator(
        kubeconfig=control_plane.kubeconfig, folder=tmp_path, config={"router": {"replicas": 0}, "nonsense": 1}
    )
    with pytest.raises(AssertionError, match="ended with code 2"):
        operator.start()
    assert "router.replicas" in operator.log()
    assert "nonsense" in operator.log()
