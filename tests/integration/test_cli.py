"""`kubectl gemma` against a real API server and what the real operator writes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.operator_process import ROOT, Operator
from tests.integration.streaming import HOST, Router
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def nodes(kubectl: Kubectl) -> Iterator[None]:
    host = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": HOST}, "spec": {"unschedulable": True}}
    kubectl.apply(fleet.l4("l4-a", count=4), fleet.plain("cpu-a"), host)
    yield
    kubectl("delete", "nodes", "--all")


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, nodes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path_factory.mktemp("operator")) as running:
        yield running


@pytest.fixture(scope="module")
def shared(operator: Operator, kubectl: Kubectl) -> Iterator[str]:
    """A namespace with `chat`, which runs, and `big`, for which nothing fits."""
    name = "cli"
    kubectl("create", "namespace", name)
    kubectl.apply(
        gemma("chat", {"model": "e4b", "accelerators": ["l4"]}),
        gemma("big", {"model": "31b", "precision": "bf16", "accelerators": ["l4"]}),
        namespace=name,
    )
    eventually(
        lambda: [_holds(kubectl, name, "chat", "Ready"), _holds(kubectl, name, "big", "Planned")],
        until=lambda held: held == ["True", "False"],
        seconds=60,
        what="one runs and one is refused",
    )
    yield name
    kubectl("delete", "gdep", "--all", "-n", name)
    kubectl("delete", "namespace", name, "--wait=false")


def _holds(kubectl: Kubectl, namespace: str, name: str, kind: str) -> str:
    return str(conditions(kubectl.get("gdep", name, namespace=namespace)).get(kind, {}).get("status"))


@pytest.fixture(scope="module")
def cli(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> "Cli":
    """The command line with a context whose namespace is `cli`."""
    config = tmp_path_factory.mktemp("kubeconfig") / "config"
    config.write_text(control_plane.kubeconfig.read_text())
    return Cli(config)


class Cli:
    """`kubectl gemma` as a process, in a pipe."""

    def __init__(self, kubeconfig: Path) -> None:
        self._environment = {"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The finished command."""
        return subprocess.run(
            [sys.executable, "-m", "gemma_operator.cli", *arguments],
            env=self._environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What a command prints; fails unless it ends with `code`."""
        done = self.run(*arguments)
        assert done.returncode == code, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "gemma_operator.cli", *arguments],
            env=self._environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )


def test_status_of_all_and_of_one(cli: Cli, kubectl: Kubectl, shared: str) -> None:
    header, *rows = cli("status", "-n", shared).splitlines()
    assert header.split()[:4] == ["NAME", "PHASE", "PLAN", "READY"]
    table = {row.split()[0]: row for row in rows}
    assert table["chat"].split()[1:7] == ["Ready", "e4b", "bf16", "on", "1×l4", "1/1"]
    assert table["big"].split()[1] == "Pending"
    assert "31b" in table["big"]
    screen = cli("status", "chat", "-n", shared)
    [pod] = kubectl.find("pods", namespace=shared, selector="gemma4stack.dev/deployment=chat")
    [row] = [line for line in screen.splitlines() if line.startswith(pod["metadata"]["name"])]
    assert row.split()[1:4] == ["0", "Ready", pod["spec"]["nodeName"]]


def test_status_for_programs(cli: Cli, shared: str) -> None:
    items: list[Object] = json.loads(cli("status", "-A", "-o", "json"))["items"]
    found = {item["name"]: item for item in items if item["namespace"] == shared}
    assert (found["chat"]["phase"], found["chat"]["replicas"]) == ("Ready", {"ready": 1, "wanted": 1})
    assert "Planned" in found["big"]["findings"][0]["conditions"]


def test_watching_prints_a_line_for_each_change(cli: Cli, kubectl: Kubectl, shared: str) -> None:
    process = cli.start("status", "--watch", "--interval", "0.5", "-n", shared)
    try:
        assert process.stdout is not None
        first = {process.stdout.readline().split()[1] for _ in range(2)}
        assert first == {f"{shared}/chat", f"{shared}/big"}
        kubectl("annotate", "gdep", "big", "-n", shared, "gemma4stack.dev/paused=")
        assert f"{shared}/big phase=Paused" in process.stdout.readline()
    finally:
        process.kill()
        process.communicate()
        kubectl("annotate", "gdep", "big", "-n", shared, "gemma4stack.dev/paused-")


def test_explaining_what_runs_and_what_does_not(cli: Cli, kubectl: Kubectl, shared: str) -> None:
    runs = json.loads(cli("explain", "chat", "-n", shared, "-o", "json"))
    pool = runs["plan"]["pools"][0]
    assert (pool["model"], pool["accelerator"], pool["supply"]) == ("e4b", "l4", "Free")
    assert (runs["runs"]["model"], runs["runs"]["accelerator"]) == ("e4b", "l4")
    blocked = json.loads(cli("explain", "big", "-n", shared, "-o", "json", code=2))
    told = conditions(kubectl.get("gdep", "big", namespace=shared))["Planned"]["message"]
    assert told.startswith(blocked["plan"]["reason"]), "command and operator say the same"
    assert "1 free l4 more" in {each["change"] for each in blocked["changes"]}


def test_the_diff_is_what_applying_changes(cli: Cli, kubectl: Kubectl, shared: str, tmp_path: Path) -> None:
    file = tmp_path / "chat.json"

    def changed(context: int) -> Object:
        wanted = gemma("chat", {"model": "e4b", "accelerators": ["l4"], "context": context}, namespace=shared)
        file.write_text(json.dumps(wanted))
        found: Object = json.loads(cli("plan", "--diff", "-f", str(file), "-o", "json"))["diff"]
        return found

    assert changed(8192) == {"verdict": "nothing changes", "rolls": False, "fields": [], "manifest": ""}
    told = changed(16384)
    assert told["rolls"] is True
    assert {"field": "maxModelLen", "before": 8192, "after": 16384} in told["fields"]
    kubectl("apply", "-f", str(file))
    eventually(
        lambda: changed(16384)["verdict"],
        until=lambda verdict: verdict == "nothing changes",
        seconds=60,
        what="what was foretold is applied",
    )
    annotations = kubectl.get("deployment", "chat-0", namespace=shared)["metadata"]["annotations"]
    pool = json.loads(annotations["gemma4stack.dev/plan"])["pool"]
    assert {each["field"]: each["after"] for each in told["fields"] if "." not in each["field"]} == {
        each["field"]: pool[each["field"]] for each in told["fields"] if "." not in each["field"]
    }


def test_a_chat_streams_through_the_proxy_of_the_api_server(cli: Cli, kubectl: Kubectl, namespace: str) -> None:
    """The router is a stand-in behind the real API server: what matters is the way there, and that it streams."""
    key = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "front-keys"}, "stringData": {"default": "sk-1"}}
    with Router() as router:
        # First, so that the operator finds the names taken and leaves them alone.
        kubectl.apply(key, namespace=namespace)
        router.serve(kubectl, name="front", namespace=namespace)
        kubectl.apply(gemma("chat", {"model": "e4b", "router": {"name": "front"}}), namespace=namespace)
        # The API server's proxy learns of the Service a moment later.
        done = eventually(
            lambda: cli.run("chat", "chat", "Hello", "-n", namespace),
            until=lambda done: done.returncode == 0,
            seconds=60,
            what="an answer",
        )
        assert done.stdout == "one two\n"
        assert router.keys == {"sk-1"}
        process = cli.start("chat", "chat", "wait", "-n", namespace)
        try:
            assert process.stdout is not None
            assert process.stdout.read(4) == "one ", "the first word arrives before the answer ends"
            router.go_on.set()
            assert process.stdout.read() == "two\n"
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.communicate()


def test_the_doctor_of_a_control_plane_without_an_installed_operator(cli: Cli, shared: str) -> None:
    checks = json.loads(cli("doctor", "-n", shared, "-o", "json", code=1))["checks"]
    found = {each["check"]: (each["result"], each["message"]) for each in checks}
    assert found["kubernetes"][0] == found["crd"][0] == found["gpus"][0] == found["drivers"][0] == "ok"
    assert "l4" in found["gpus"][1]
    assert found["operator"] == ("fail", "no operator is installed"), "it runs beside the cluster here, and not in it"
    assert "router" in found


def test_a_name_that_does_not_exist(cli: Cli, shared: str) -> None:
    done = cli.run("status", "chatt", "-n", shared)
    assert done.returncode == 1
    assert "there is big, chat" in done.stderr
