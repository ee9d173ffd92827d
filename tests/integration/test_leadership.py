"""Several operators and one Lease: one works, the others take over, and no two work at once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.audit import AuditLog
from tests.integration.faulty_proxy import FaultyProxy
from tests.integration.observing import OPERATOR_AGENT, ready, settled
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, eventually, gemma

LEASE = "gemma-operator"
TAKEOVER_SECONDS = 45
"""A lease lasts 15 s and is asked for every 2 s; the rest is for a slow machine."""


@pytest.fixture(scope="module", autouse=True)
def nodes(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(fleet.l4("l4-a", count=8), fleet.plain("cpu-a"))
    yield
    kubectl("delete", "nodes", "--all")


Candidates = Callable[..., Operator]


@pytest.fixture
def candidate(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Candidates:
    """Makes operators that stand for the same Lease: `candidate(pod)`, or with a kubeconfig of its own."""

    def made(pod: str, *, kubeconfig: Path = control_plane.kubeconfig) -> Operator:
        return Operator(
            kubeconfig=kubeconfig,
            folder=tmp_path,
            config={"namespaces": [namespace], "resyncSeconds": 10},
            lease=LEASE,
            pod=pod,
            own_namespace=namespace,
        )

    return made


@pytest.fixture
def proxy(control_plane: ControlPlane, tmp_path: Path) -> Iterator[FaultyProxy]:
    with FaultyProxy(kubeconfig=control_plane.kubeconfig, folder=tmp_path) as running:
        yield running


def lease(kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    spec: dict[str, Any] = kubectl.get("lease", LEASE, namespace=namespace)["spec"]
    return spec


def holder(kubectl: Kubectl, namespace: str) -> str:
    """The pod that holds the Lease; its process is named behind it."""
    return str(lease(kubectl, namespace)["holderIdentity"]).rpartition("_")[0]


def leads(operator: Operator, *, seconds: float = 30) -> None:
    eventually(lambda: operator.metric("gemma_operator_leader") == 1, seconds=seconds, what="it holds the lease")


def ended(operator: Operator) -> int:
    code = eventually(operator.exit_code, until=lambda found: found is not None, seconds=60, what="the process ended")
    assert code is not None
    return code


def test_the_other_takes_over_from_one_that_was_killed(
    control_plane: ControlPlane, candidate: Candidates, kubectl: Kubectl, namespace: str
) -> None:
    with candidate("first") as first:
        leads(first)
        with candidate("second") as second:
            kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
            ready(kubectl, "chat", namespace)
            assert second.metric("gemma_operator_leader") == 0
            assert second.metric("gemma_operator_reconcile_total") == 0
            assert second.metric("gemma_operator_workqueue_depth") == 0, "nobody would take a key out"
            assert 'name="chat"' not in second.get("/metrics")[1], "one process tells of the fleet"
            assert second.get("/readyz") == (200, "ok\n"), "its caches are warm"
            settled(control_plane, beats=15)
            first.stop(hard=True)
            log = AuditLog(control_plane.audit_log, agent=OPERATOR_AGENT)
            leads(second, seconds=TAKEOVER_SECONDS)
            assert holder(kubectl, namespace) == "second"
            assert lease(kubectl, namespace)["leaseTransitions"] == 1
            eventually(
                lambda: second.metric("gemma_operator_reconcile_total") >= 4,
                seconds=60,
                what="everything was looked at",
            )
            assert not log.writes(), "nothing is written twice"
            kubectl.apply(gemma("next", {"model": "e2b"}), namespace=namespace)
            ready(kubectl, "next", namespace)


def test_two_processes_of_one_name_are_told_apart(candidate: Candidates, kubectl: Kubectl, namespace: str) -> None:
    """As when somebody sets POD_NAME for all pods, or two run on one host."""
    with candidate("same") as first:
        leads(first)
        with candidate("same") as second:
            before = lease(kubectl, namespace)
            # Two renewals: the second one has asked for the lease meanwhile, and would have taken it.
            for _ in range(2):
                known = lease(kubectl, namespace)["renewTime"]
                eventually(
                    lambda: lease(kubectl, namespace)["renewTime"],
                    until=lambda at, known=known: at > known,  # type: ignore[misc]  # mypy infers no defaults
                    seconds=30,
                    what="the lease is renewed",
                )
            assert lease(kubectl, namespace)["holderIdentity"] == before["holderIdentity"]
            assert (first.metric("gemma_operator_leader"), second.metric("gemma_operator_leader")) == (1, 0)


def test_one_that_is_told_to_stop_gives_the_lease_back(candidate: Candidates, kubectl: Kubectl, namespace: str) -> None:
    with candidate("first") as first:
        leads(first)
        first.stop()
        assert "stopping: told to" in first.log(), "an orderly end is no failure"
    assert not lease(kubectl, namespace).get("holderIdentity")
    with candidate("second") as second:
        leads(second)
    assert lease(kubectl, namespace)["leaseTransitions"] == 1


def test_one_that_cannot_renew_ends_before_another_may_begin(
    proxy: FaultyProxy, candidate: Candidates, kubectl: Kubectl, namespace: str
) -> None:
    with candidate("first", kubeconfig=proxy.kubeconfig) as first:
        leads(first)
        proxy.answer(method="PUT", resource="leases", status=500, times=1000)
        assert ended(first) == 1
        assert "the lease could not be renewed" in first.log()
    assert holder(kubectl, namespace) == "first", "it was not given back either"
    with candidate("second") as second:
        leads(second, seconds=TAKEOVER_SECONDS)


def test_a_short_failure_of_the_api_server_changes_nothing(
    proxy: FaultyProxy, candidate: Candidates, kubectl: Kubectl, namespace: str
) -> None:
    with candidate("first", kubeconfig=proxy.kubeconfig) as first:
        leads(first)
        before = lease(kubectl, namespace)["renewTime"]
        fault = proxy.answer(method="PUT", resource="leases", status=503, times=2)
        eventually(lambda: fault.times == 0, seconds=30, what="two renewals failed")
        eventually(
            lambda: lease(kubectl, namespace)["renewTime"], until=lambda at: at > before, seconds=30, what="renewed"
        )
        assert first.exit_code() is None
        assert first.metric("gemma_operator_leader") == 1


def test_who_loses_the_lease_ends_at_once(candidate: Candidates, kubectl: Kubectl, namespace: str) -> None:
    with candidate("first") as first:
        leads(first)
        kubectl("patch", "lease", LEASE, "-n", namespace, "--type=merge", "-p", '{"spec":{"holderIdentity":"other"}}')
        assert ended(first) == 1
        assert f"lease {namespace}/{LEASE} is held by other now" in first.log()
    assert lease(kubectl, namespace)["holderIdentity"] == "other"
