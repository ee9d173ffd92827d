"""The rights that the chart grants are enough, and nothing beyond them is asked for: in the whole cluster, in one
namespace beside the nodes, and in one namespace alone."""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from localk8s.controlplane import ControlPlane

from tests import helm
from tests.helm import STACK
from tests.integration import fleet
from tests.integration.observing import ready
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

NAME = "rights-gemma-operator"
"""Of the operator's objects in release `rights`."""
STATIC: Object = {
    "rbac": {"nodes": False, "aggregateClusterRoles": False},
    "config": {
        "inventory": {
            "nodes": [
                {
                    "accelerator": "l4",
                    "gpusPerNode": 2,
                    "nodes": 1,
                    "labels": {"nvidia.com/gpu.product": "NVIDIA-L4", "kubernetes.io/arch": "amd64"},
                }
            ]
        },
        "router": {
            "ingress": {"hosts": ["llm.example.com"]},
            "httpRoute": {"hosts": ["llm.example.com"], "parentRefs": [{"name": "public"}]},
        },
    },
}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module", autouse=True)
def nodes(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(fleet.l4("l4-a", count=2), fleet.plain("cpu-a"))
    yield
    kubectl("delete", "nodes", "--all")


@pytest.fixture
def home(kubectl: Kubectl) -> Iterator[str]:
    """The namespace of the release."""
    name = f"home-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


class Requests:
    """What the operator's ServiceAccount asked of the API server since this was made."""

    def __init__(self, path: Path, *, home: str) -> None:
        self._path, self._user, self._offset = path, f"system:serviceaccount:{home}:{NAME}", path.stat().st_size

    def all(self) -> list[Object]:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().splitlines(keepends=True)
        entries = [json.loads(line) for line in lines if line.endswith(b"\n") and self._user.encode() in line]
        return [entry for entry in entries if entry["user"]["username"] == self._user]

    def forbidden(self) -> list[str]:
        """Refusals for want of a right; in a namespace that goes nobody may make anything."""
        return [
            f"{entry['verb']} {entry['requestURI']}"
            for entry in self.all()
            if (entry.get("responseStatus") or {}).get("code") in (401, 403)
            and "being terminated" not in json.dumps(entry["responseStatus"])
        ]

    def namespaces(self) -> set[str]:
        """Those of the objects that were asked for; `None` for the whole cluster."""
        return {entry["objectRef"].get("namespace", "whole cluster") for entry in self.all() if entry.get("objectRef")}


@contextlib.contextmanager
def installed(
    control_plane: ControlPlane, kubectl: Kubectl, *, home: str, folder: Path, values: Object
) -> Iterator[Operator]:
    """The chart's roles and configuration in the cluster, and an operator that has nothing else."""

    def run(*arguments: str | Path) -> None:
        done = helm.helm(
            *arguments, "--namespace", home, "--kubeconfig", control_plane.kubeconfig, stdin=json.dumps(given)
        )
        assert done.returncode == 0, done.stderr

    # Its pods would be faked; the process of this test takes their place. Other tests leave a role `gemma-router`,
    # which releases keep.
    config: Object = {"router": {}, **values.get("config", {})}
    config["router"] = {**config["router"], "role": "rights-router"}
    given = {**values, "config": config, "replicas": 0, "crds": {"enabled": False}}
    run("install", "rights", STACK, "--values", "-")
    try:
        written = kubectl.get("configmap", f"{NAME}-config", namespace=home)["data"]["config.yaml"]
        token = kubectl("create", "token", NAME, "-n", home, "--duration=1h").strip()
        with Operator(
            kubeconfig=_kubeconfig(control_plane.kubeconfig, token=token, folder=folder),
            folder=folder,
            config=yaml.safe_load(written),
            lease=NAME,
            pod="first",
            own_namespace=home,
        ) as operator:
            yield operator
            operator.stop()
            assert "stopping: told to" in operator.log(), "an orderly end is no failure"
    finally:
        run("uninstall", "rights")
        # Routers may go on without the chart, so that their role stays.
        kubectl("delete", "clusterrole", "rights-router", "--ignore-not-found")


def _kubeconfig(admin: Path, *, token: str, folder: Path) -> Path:
    config = yaml.safe_load(admin.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = folder / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def serves(kubectl: Kubectl, namespace: str, name: str) -> None:
    """From nothing to Ready, to two replicas and back to one."""
    kubectl.apply(gemma(name, {"model": "e2b", "replicas": 1}), namespace=namespace)
    ready(kubectl, name, namespace)
    for replicas in (2, 1):
        kubectl("scale", "gdep", name, "-n", namespace, f"--replicas={replicas}")
        eventually(
            lambda: ready(kubectl, name, namespace)["status"]["readyReplicas"],
            until=lambda count, wanted=replicas: count == wanted,  # type: ignore[misc]
            seconds=60,
            what=f"{replicas} replicas",
        )


def may_read_endpoints(kubectl: Kubectl, *, router_of: str, namespace: str) -> bool:
    account = f"system:serviceaccount:{router_of}:gemma-router"
    done = kubectl.run("auth", "can-i", "list", "endpointslices", "-n", namespace, "--as", account)
    return done.stdout.strip() == "yes"


def gpu_pod(namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "training", "namespace": namespace},
        "spec": {
            "containers": [
                {"name": "main", "image": "registry.example/train", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
            ],
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
    }


@pytest.mark.parametrize(
    "scope", [lambda namespace: {}, lambda namespace: {"watchNamespaces": [namespace]}], ids=["cluster", "namespaced"]
)
def test_with_the_nodes_it_follows_gpus_of_every_namespace(
    control_plane: ControlPlane,
    kubectl: Kubectl,
    namespace: str,
    home: str,
    tmp_path: Path,
    scope: Callable[[str], dict[str, Any]],
) -> None:
    requests = Requests(control_plane.audit_log, home=home)
    with installed(control_plane, kubectl, home=home, folder=tmp_path, values=scope(namespace)):
        serves(kubectl, namespace, "chat")
        kubectl.apply(gpu_pod(home))
        eventually(
            lambda: kubectl.get("pod", "training", namespace=home)["spec"].get("nodeName"), seconds=30, what="it runs"
        )
        kubectl.apply(gemma("second", {"model": "e2b", "replicas": 1}), namespace=namespace)
        eventually(
            lambda: conditions(kubectl.get("gdep", "second", namespace=namespace)).get("Planned", {}).get("reason"),
            until=lambda reason: reason == "InsufficientCapacity",
            seconds=30,
            what="the GPU that a pod of another namespace has is not free",
        )
        kubectl("delete", "pod", "training", "-n", home, "--grace-period=0", "--force")
        ready(kubectl, "second", namespace)
        assert may_read_endpoints(kubectl, router_of=namespace, namespace=namespace)
        assert not may_read_endpoints(kubectl, router_of=namespace, namespace=home)
    assert len(requests.all()) > 50, "the audit log sees this operator"
    assert requests.forbidden() == []


def test_in_one_namespace_alone_it_serves_from_the_static_inventory_and_exposes_the_router(
    control_plane: ControlPlane, kubectl: Kubectl, gateway_api: None, namespace: str, home: str, tmp_path: Path
) -> None:
    requests = Requests(control_plane.audit_log, home=home)
    values = {"watchNamespaces": [namespace], **STATIC}
    with installed(control_plane, kubectl, home=home, folder=tmp_path, values=values):
        cluster_wide = kubectl("get", "clusterroles", "-l", "app.kubernetes.io/instance=rights", "-o", "name")
        assert cluster_wide == ""
        serves(kubectl, namespace, "chat")
        [pod] = kubectl.find("pods", namespace=namespace, selector="gemma4stack.dev/deployment=chat")
        assert pod["spec"]["nodeName"] == "l4-a"
        # One of two GPUs is taken, and that is known from the pods of this namespace.
        kubectl.apply(gemma("large", {"model": "e2b", "replicas": 2}), namespace=namespace)
        eventually(
            lambda: conditions(kubectl.get("gdep", "large", namespace=namespace)).get("Planned", {}).get("reason"),
            until=lambda reason: reason == "InsufficientCapacity",
            seconds=30,
            what="two GPUs are not free",
        )
        assert may_read_endpoints(kubectl, router_of=namespace, namespace=namespace)
        eventually(
            lambda: {obj["kind"] for obj in kubectl.find("ingresses,httproutes", namespace=namespace)},
            until=lambda found: found == {"Ingress", "HTTPRoute"},
            seconds=30,
            what="the router is exposed",
        )
        kubectl("delete", "gdep", "--all", "-n", namespace)
        kinds = "rolebindings,ingresses,httproutes"
        eventually(
            lambda: kubectl.find(kinds, namespace=namespace, selector="gemma4stack.dev/router"),
            until=lambda found: not found,
            seconds=60,
            what="the router is gone",
        )
    assert requests.forbidden() == []
    assert requests.namespaces() == {namespace, home}
