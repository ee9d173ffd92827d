"""The command blocks of README and documentation that need no cluster, run as a person would paste them.

One that can be run against an API server alone is here too.
"""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest
from localk8s import binaries

from tests import pages
from tests.kubectl import Kubectl, eventually, gemma
from tests.pages import Block

READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Serving",
    "message": "",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder that looks like the repository and may be written to, and an environment with kubectl and no cluster."""
    folder = tmp_path_factory.mktemp("repository")
    for path in pages.ROOT.iterdir():
        if path.name != "build":
            (folder / path.name).symlink_to(path)
    bin_ = tmp_path_factory.mktemp("bin")
    for name in ("kubectl", "helm"):
        (bin_ / name).symlink_to(binaries.path(name))
    search = f"{bin_}:{pages.ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    return folder, {**os.environ, "PATH": search, "KUBECONFIG": "/nowhere", "COLUMNS": "160"}


def run(script: str, *, folder: Path, environment: dict[str, str]) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def in_namespace(shell: tuple[Path, dict[str, str]], kubectl: Kubectl, namespace: str) -> tuple[Path, dict[str, str]]:
    """The same folder and an environment whose current context is a namespace of the cluster."""
    folder, environment = shell
    config = folder / f"kubeconfig-{namespace}"
    config.write_text(kubectl.kubeconfig.read_text())
    config.chmod(0o600)
    there = {**environment, "KUBECONFIG": str(config)}
    run(f"kubectl config set-context --current --namespace={namespace}", folder=folder, environment=there)
    return folder, there


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", pages.run_here(), ids=str)
def test_a_block_runs_and_prints_what_it_shows(block: Block, shell: tuple[Path, dict[str, str]]) -> None:
    folder, environment = shell
    for command, shown in pages.sessions(block):
        printed = run(command, folder=folder, environment=environment).splitlines()
        if wrong := pages.difference(shown, printed):
            pytest.fail(f"{block}: {command}\n{wrong}")


def test_client_keys(kubectl: Kubectl, namespace: str, shell: tuple[Path, dict[str, str]]) -> None:
    """A key is added and removed as docs/router.md says."""
    folder, environment = in_namespace(shell, kubectl, namespace)
    name, old = "gemma-router-keys", "0123456789abcdef"
    kubectl("create", "secret", "generic", name, f"--from-literal=default={old}", "-n", namespace)
    add, remove = pages.block_of("docs/router.md", containing="gemma-router-keys").text.splitlines()

    def keys_after(command: str) -> dict[str, str]:
        run(command, folder=folder, environment=environment)
        data: dict[str, str] = kubectl.get("secret", name, namespace=namespace)["data"]
        return {client: base64.b64decode(key).decode() for client, key in data.items()}

    added = keys_after(add)
    assert set(added) == {"default", "team-a"}
    assert len(added["team-a"]) >= 16
    assert keys_after(remove) == {"default": old}


def going(kubectl: Kubectl) -> set[str]:
    """Namespaces that are being deleted."""
    return {obj["metadata"]["name"] for obj in kubectl.find("namespaces") if obj["metadata"].get("deletionTimestamp")}


def test_backup_and_restore(kubectl: Kubectl, namespace: str, shell: tuple[Path, dict[str, str]]) -> None:
    """What docs/operations/backup.md saves brings back what was deleted."""
    page, name = "docs/operations/backup.md", "gemma-router-keys"
    folder, environment = in_namespace(shell, kubectl, namespace)
    # What other tests left could not be restored into their namespaces, which go one after the other.
    kubectl("delete", "gdep", "--all", "-A", timeout=240)
    written = gemma("chat", {"model": "e4b", "router": {"aliases": ["gpt"]}})
    kubectl.apply(written, namespace=namespace)
    keys = ["--from-literal=default=0123456789abcdef", "--from-literal=team-a=a=b c$d 0123456789"]
    kubectl("create", "secret", "generic", name, *keys, "-n", namespace)
    spec = kubectl.get("gdep", "chat", namespace=namespace)["spec"]
    data = kubectl.get("secret", name, namespace=namespace)["data"]
    run(pages.block_of(page, containing="export -A").text, folder=folder, environment=environment)
    kubectl("delete", "gdep/chat", f"secret/{name}", "-n", namespace)
    run(pages.block_of(page, containing="from-env-file").text, folder=folder, environment=environment)
    assert kubectl.get("gdep", "chat", namespace=namespace)["spec"] == spec
    assert kubectl.get("secret", name, namespace=namespace)["data"] == data


def test_a_fleet_from_values(kubectl: Kubectl, shell: tuple[Path, dict[str, str]]) -> None:
    """The chart's README; nothing runs engines here, so the test says for them that they are ready."""
    page, namespace = "charts/gemma4-models/README.md", "team-a"
    install, wait = pages.block_of(page, containing="helm install models").text.splitlines()
    folder, environment = in_namespace(shell, kubectl, "default")
    (folder / "fleet.yaml").write_text(pages.block_of(page, containing="# fleet.yaml", language="yaml").text)
    eventually(
        lambda: going(kubectl),
        until=lambda left: namespace not in left,
        seconds=120,
        what="the namespace that another test used is gone",
    )
    try:
        run(install, folder=folder, environment=environment)
        specs = {each["metadata"]["name"]: each["spec"] for each in kubectl.find("gdep", namespace=namespace)}
        assert set(specs) == {"chat", "small"}
        router: dict[str, object] = specs["chat"]["router"]
        assert (router["aliases"], router["fallbacks"]) == (["gpt-4o-mini"], ["small"])
        assert specs["small"]["weights"]["cache"]["size"] == "200Gi"
        for name in specs:
            patch = json.dumps({"status": {"observedGeneration": 1, "conditions": [READY]}})
            kubectl("patch", "gdep", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
        assert run(wait, folder=folder, environment=environment).count("condition met") == len(specs)
    finally:
        kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
