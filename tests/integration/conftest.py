"""A real control plane with kwok nodes for the session, and a namespace for each test."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from localk8s import binaries, pins
from localk8s.controlplane import ControlPlane

from tests.integration.observing import define
from tests.kubectl import Kubectl, conditions, eventually

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each wait of a test has a deadline of its own and says what it waited for: this one is for what hangs."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd, API server, controller-manager, scheduler and kwok, with the CRD installed; gone after the session."""
    plane = ControlPlane(f"test-{os.getpid()}", directory=tmp_path_factory.mktemp("controlplane"))
    try:
        plane.start()
        kubectl = Kubectl(binary=binaries.path("kubectl"), kubeconfig=plane.kubeconfig)
        define(kubectl)
        yield plane
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """kubectl of the control plane."""
    return Kubectl(binary=binaries.path("kubectl"), kubeconfig=control_plane.kubeconfig)


@pytest.fixture(scope="session")
def monitoring(kubectl: Kubectl) -> None:
    """The kinds of the Prometheus operator, from its own module."""
    kinds = ("servicemonitors", "podmonitors", "prometheusrules")
    folder = binaries.module_folder(pins.load().module("prometheus-operator")) / "example" / "prometheus-operator-crd"
    _define(kubectl, folder, [f"{kind}.monitoring.coreos.com" for kind in kinds])


@pytest.fixture
def gateway_api(kubectl: Kubectl) -> None:
    """HTTPRoute of the Gateway API, from its own module. For each test anew: one takes it away."""
    folder = binaries.module_folder(pins.load().module("gateway-api")) / "config" / "crd" / "standard"
    _define(kubectl, folder, ["httproutes.gateway.networking.k8s.io"])


def _define(kubectl: Kubectl, folder: Path, names: list[str]) -> None:
    for name in names:
        plural, group = name.split(".", 1)
        kubectl("apply", "--server-side", "-f", str(folder / f"{group}_{plural}.yaml"))
    eventually(
        lambda: [conditions(kubectl.get("crd", name)).get("Established", {}).get("status") for name in names],
        until=lambda found: set(found) == {"True"},
        seconds=60,
        what=f"the API server serves {', '.join(names)}",
    )


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of its own; what was made in it is deleted after the test."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
