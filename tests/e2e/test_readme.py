"""Every command of the README does what the README says."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import stack
from localk8s import binaries, paths

from tests.e2e.conftest import CLUSTER
from tests.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NAMESPACE = "readme"


def blocks(language: str) -> list[str]:
    """Code blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def block(containing: str) -> str:
    """The one shell block that contains a text."""
    (found,) = [each for each in blocks("sh") if containing in each]
    return found


@pytest.fixture(scope="module")
def environment(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A person's shell: kubectl, helm and kubectl-gemma on PATH, the cluster as the current context."""
    folder = tmp_path_factory.mktemp("shell")
    (folder / "bin").mkdir()
    for name in ("kubectl", "helm"):
        (folder / "bin" / name).symlink_to(binaries.path(name))
    config = folder / "kubeconfig"
    config.write_text(paths.kubeconfig(CLUSTER).read_text())
    config.chmod(0o600)
    kubectl("create", "namespace", NAMESPACE)
    path = f"{folder / 'bin'}:{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    made = {**os.environ, "PATH": path, "KUBECONFIG": str(config), "COLUMNS": "160"}
    subprocess.run(["kubectl", "config", "set-context", "--current", f"--namespace={NAMESPACE}"], env=made, check=True)
    yield made
    kubectl("delete", "gdep", "--all", "-n", NAMESPACE)
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def shell(script: str, *, environment: dict[str, str], seconds: float = 300) -> str:
    """Run a block as a person would paste it; what it leaves in the background ends with it."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_yaml_of_the_readme_is_the_minimal_example() -> None:
    assert blocks("yaml")[0] == (ROOT / "examples" / "minimal.yaml").read_text()


def test_the_output_of_the_readme_is_real(environment: dict[str, str]) -> None:
    shown = blocks("console")[0].splitlines()
    command, expected = shown[0].removeprefix("$ "), [line for line in shown[1:] if line != "…"]
    printed = [line.rstrip() for line in shell(command, environment=environment).splitlines()]
    assert printed[: len(expected)] == expected


def test_the_chart_is_installed_as_the_readme_says(environment: dict[str, str]) -> None:
    """With the values of the fixture, which name the images of this machine."""
    told = block("helm upgrade").splitlines()[0]
    assert f" {stack.RELEASE} {stack.CHART} " in told
    assert "has been upgraded" in shell(f"{told} --reuse-values --wait --timeout 3m", environment=environment)


def test_deploying_and_asking(environment: dict[str, str]) -> None:
    deploy = "\n".join(block("helm upgrade").splitlines()[1:])
    assert re.search(r"^chat +.* Ready +", shell(deploy, environment=environment), flags=re.MULTILINE)
    answer = shell(block("port-forward"), environment=environment)
    assert '"content"' in answer
    assert '"error"' not in answer


def test_the_cli(environment: dict[str, str]) -> None:
    try:
        printed = shell(block("kubectl gemma memory"), environment=environment)
    finally:
        (ROOT / "fleet.json").unlink(missing_ok=True)
    assert "Rejected" in printed or "REJECTED" in printed


def test_make_demo(environment: dict[str, str]) -> None:
    """On the cluster of these tests, so that it builds nothing again; in its own namespace it finds free GPUs."""
    make = block("make demo")
    assert "make test" in make
    subprocess.run(["kubectl", "delete", "gdep", "--all"], env=environment, check=True)
    subprocess.run(["kubectl", "wait", "--for=delete", "pod", "--all", "--timeout=120s"], env=environment, check=True)
    printed = shell("make demo", environment={**environment, "CLUSTER": CLUSTER}, seconds=900)
    try:
        assert "chat:" in printed
        assert len(printed.split("chat:")[-1].split("The engine in this cluster")[0].split()) > 3, "no answer came"
    finally:
        shell("kubectl delete gdep chat -n default", environment=environment)
