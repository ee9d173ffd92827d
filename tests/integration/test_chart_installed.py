"""The chart in a real API server: installed, upgraded and removed; its own test against a real operator."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from localk8s.controlplane import ControlPlane

from tests import helm
from tests.helm import STACK, Object, of_kind
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, conditions, eventually, gemma

CRD = "gemmadeployments.gemma4stack.dev"
VARIANTS = helm.variants(STACK)
# The definition is there already, and the other tests of the session need it; it is not theirs to lose.
OVERLAY: Object = {"crds": {"enabled": False}}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def restricted(kubectl: Kubectl, namespace: str) -> str:
    """A namespace that admits nothing that is not restricted."""
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    return namespace


def run(control_plane: ControlPlane, *arguments: str | Path, values: Object | None = None) -> str:
    """Helm in the control plane; its output."""
    given = ["--values", "-"] if values is not None else []
    done = helm.helm(*arguments, *given, "--kubeconfig", control_plane.kubeconfig, stdin=json.dumps(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def operator_pods(kubectl: Kubectl, namespace: str) -> list[Object]:
    return kubectl.find("pods", namespace=namespace, selector="app.kubernetes.io/part-of=gemma4-stack")


def test_from_the_first_installation_to_the_last_removal(
    control_plane: ControlPlane, kubectl: Kubectl, restricted: str
) -> None:
    """Everything that is kept is still there at the end, and everything else is gone."""
    kubectl.apply(gemma("kept", {"model": "e2b"}), namespace=restricted)
    # The definition was not installed by Helm; who moves to the chart takes it over in this way.
    run(control_plane, "install", "gemma", STACK, "--namespace", restricted, "--take-ownership", values={})
    eventually(
        lambda: operator_pods(kubectl, restricted), seconds=60, what="a restricted namespace admits the operator"
    )
    owned = kubectl.get("crd", CRD)["metadata"]
    assert owned["annotations"]["meta.helm.sh/release-name"] == "gemma"

    changed = {"config": {"workers": 3}, "networkPolicy": {"enabled": True}}
    run(control_plane, "upgrade", "gemma", STACK, "--namespace", restricted, values=changed)
    config = kubectl.get("configmap", "gemma-operator-config", namespace=restricted)
    assert "workers: 3" in config["data"]["config.yaml"]
    assert kubectl.get("networkpolicy", "gemma-operator", namespace=restricted)

    run(control_plane, "uninstall", "gemma", "--namespace", restricted)
    left = kubectl.find("deployments,services,configmaps,serviceaccounts", namespace=restricted)
    assert not [obj for obj in left if obj["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == "gemma"]
    roles = kubectl("get", "clusterroles", "-l", "app.kubernetes.io/instance=gemma", "-o", "name").split()
    assert roles == ["clusterrole.rbac.authorization.k8s.io/gemma-router"], "routers that are kept need it"
    assert conditions(kubectl.get("crd", CRD))["Established"]["status"] == "True"
    assert kubectl.get("gdep", "kept", namespace=restricted)["spec"]["model"] == "e2b"

    run(control_plane, "install", "gemma", STACK, "--namespace", restricted, values={})
    assert kubectl.get("gdep", "kept", namespace=restricted)["spec"]["model"] == "e2b"
    run(control_plane, "uninstall", "gemma", "--namespace", restricted)

    # What is kept belongs to the first release; the README says how another takes it over.
    other: tuple[str | Path, ...] = ("install", "other", STACK, "--namespace", restricted)
    refused = helm.helm(*other, "--kubeconfig", control_plane.kubeconfig)
    assert "invalid ownership metadata" in refused.stderr
    run(control_plane, *other, "--take-ownership", values={})
    assert kubectl.get("crd", CRD)["metadata"]["annotations"]["meta.helm.sh/release-name"] == "other"
    run(control_plane, "uninstall", "other", "--namespace", restricted)
    # The other tests install theirs.
    kubectl("delete", "clusterrole", "gemma-router")


def test_an_upgrade_brings_the_new_definition(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    before = tmp_path / STACK.name
    shutil.copytree(STACK, before)
    file = before / "templates" / "crds" / "gemmadeployments.yaml"
    text = file.read_text()
    column = re.search(r"^        - name: Queue\n(?:          .*\n)+", text, re.MULTILINE)
    field = re.search(r"^                outdated:\n(?:                  .*\n)+", text, re.MULTILINE)
    assert column
    assert field
    file.write_text(text.replace(column[0], "").replace(field[0], ""))

    def known() -> tuple[bool, bool]:
        [version] = kubectl.get("crd", CRD)["spec"]["versions"]
        columns = {column["name"] for column in version["additionalPrinterColumns"]}
        status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
        return "Queue" in columns, "outdated" in status["properties"]

    where = ("--namespace", namespace)
    # The definition came by kubectl, from `crds/` of another version.
    force = ("--take-ownership", "--force-conflicts")
    run(control_plane, "install", "gemma", before, *where, *force, values={})
    assert known() == (False, False)
    run(control_plane, "upgrade", "gemma", STACK, *where, values={})
    assert known() == (True, True)
    run(control_plane, "uninstall", "gemma", *where)
    kubectl("delete", "clusterrole", "gemma-router")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_api_server_accepts_every_variant(
    control_plane: ControlPlane, kubectl: Kubectl, monitoring: None, restricted: str, variant: str
) -> None:
    files = ["--values", str(STACK / "ci" / f"{variant}-values.yaml")]
    arguments: list[str | Path] = ["install", "gemma", STACK, "--namespace", restricted, "--dry-run=server", *files]
    done = run(control_plane, *arguments, values=OVERLAY)
    assert "STATUS: pending-install" in done
    pods = of_kind(helm.rendered(STACK, {**VARIANTS[variant], **OVERLAY}), "Pod")
    for pod in pods:
        # A hook is not part of a dry run.
        kubectl("apply", "--dry-run=server", "-n", restricted, "-f", "-", stdin=json.dumps(_here(pod, restricted)))


@contextlib.contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _here(pod: Object, namespace: str) -> Object:
    return {**pod, "metadata": {**pod["metadata"], "namespace": namespace}}


class TestTheChartsOwnTest:
    """`helm test` runs this script in a pod of the operator's image."""

    def run(self, url: str) -> subprocess.CompletedProcess[str]:
        [pod] = of_kind(helm.rendered(STACK, {}), "Pod")
        [container] = pod["spec"]["containers"]
        assert container["command"][:2] == ["python3", "-c"]
        environment = {**os.environ, "OPERATOR_URL": url, "TEST_SECONDS": "3", "http_proxy": "http://127.0.0.1:9"}
        command = [sys.executable, *container["command"][1:]]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def test_it_succeeds_with_a_working_operator(self, control_plane: ControlPlane, tmp_path: Path) -> None:
        with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path) as operator:
            done = self.run(operator.url)
        assert done.returncode == 0, done.stderr
        assert "is ready" in done.stdout

    def test_it_fails_without_one(self) -> None:
        done = self.run("http://127.0.0.1:9")
        assert done.returncode != 0
        assert "cannot be reached" in done.stderr

    def test_it_fails_while_the_operator_is_not_ready(self) -> None:
        with answering(503, b"the caches are not filled yet") as url:
            done = self.run(url)
        assert done.returncode != 0
        assert "answered 503: the caches are not filled yet" in done.stderr

    def test_it_fails_where_something_else_answers(self) -> None:
        with answering(200, b"hello") as url:
            done = self.run(url)
        assert done.returncode != 0
        assert "something else answers" in done.stderr

    def test_it_asks_the_operators_service(self) -> None:
        objects = helm.rendered(STACK, {})
        [pod], [service] = of_kind(objects, "Pod"), of_kind(objects, "Service")
        [variable] = pod["spec"]["containers"][0]["env"]
        metadata, [port] = service["metadata"], service["spec"]["ports"]
        assert variable["value"] == f"http://{metadata['name']}.{metadata['namespace']}.svc:{port['port']}"
        assert pod["spec"]["containers"][0]["image"] == helm.pod_template(objects)["spec"]["containers"][0]["image"]
