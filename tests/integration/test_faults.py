"""The operator under faults of the API: what it missed it finds, what failed it repeats, what is fatal ends it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.faulty_proxy import FaultyProxy
from tests.integration.observing import ready
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, conditions, eventually, gemma


@pytest.fixture(scope="module", autouse=True)
def nodes(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(fleet.l4("l4-a", count=8), fleet.plain("cpu-a"))
    yield
    kubectl("delete", "nodes", "--all")


@pytest.fixture
def proxy(control_plane: ControlPlane, tmp_path: Path) -> Iterator[FaultyProxy]:
    with FaultyProxy(kubeconfig=control_plane.kubeconfig, folder=tmp_path) as running:
        yield running


@pytest.fixture
def operator(proxy: FaultyProxy, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    config = {"namespaces": [namespace], "resyncSeconds": 10}
    with Operator(kubeconfig=proxy.kubeconfig, folder=tmp_path, config=config) as running:
        yield running


def test_a_deletion_that_no_watch_reported_is_found(
    proxy: FaultyProxy, operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    ready(kubectl, "chat", namespace)
    proxy.blind("services")
    uid = kubectl.get("service", "chat", namespace=namespace)["metadata"]["uid"]
    kubectl("delete", "service", "chat", "-n", namespace)
    proxy.see("services")
    again = eventually(
        lambda: kubectl.get("service", "chat", namespace=namespace)["metadata"]["uid"],
        seconds=60,
        what="the Service is made anew although its deletion was never reported",
    )
    assert again != uid


def test_a_busy_api_server_is_given_the_time_it_asks_for(
    proxy: FaultyProxy, operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    fault = proxy.answer(method="PATCH", resource="deployments", status=429, times=2, Retry_After="1")
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    ready(kubectl, "chat", namespace)
    assert fault.times == 0
    assert operator.metric("gemma_operator_workqueue_retries_total") >= 1


@pytest.mark.parametrize(
    ("method", "resource"),
    [("PATCH", "services"), ("PUT", "status"), ("PATCH", "configmaps"), ("PATCH", "deployments")],
)
def test_failed_writes_are_repeated(
    method: str, resource: str, proxy: FaultyProxy, operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    fault = proxy.answer(method=method, resource=resource, status=500, times=3)
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    ready(kubectl, "chat", namespace)
    assert fault.times == 0


def test_a_broken_watch_ends_the_process_and_a_restart_converges(
    proxy: FaultyProxy, operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    eventually(lambda: proxy.watched("pods"), seconds=30, what="pods are watched")
    proxy.break_watch("pods", code=500)
    code = eventually(operator.exit_code, until=lambda found: found is not None, seconds=60, what="the process ended")
    assert code != 0, "a deaf operator must not look like one that was told to stop"
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    operator.start()
    ready(kubectl, "chat", namespace)


def test_work_goes_on_after_the_api_server_was_away(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config={"namespaces": [namespace]}) as operator:
        kubectl.apply(gemma("before", {"model": "e2b"}), namespace=namespace)
        ready(kubectl, "before", namespace)
        control_plane.restart_apiserver()
        kubectl.apply(gemma("after", {"model": "e2b"}), namespace=namespace)

        def as_the_kubelet_would() -> bool:
            if operator.exit_code() is not None:
                operator.start()
            obj = kubectl.get("gdep", "after", namespace=namespace)
            return bool(conditions(obj).get("Ready", {}).get("status") == "True")

        eventually(as_the_kubelet_would, seconds=120, what="the operator works again")
