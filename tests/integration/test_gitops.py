"""The examples for GitOps: Flux's own definitions accept theirs, and Argo CD's health check reads as kstatus does."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from localk8s import binaries, pins

from tests.kubectl import Kubectl, conditions, eventually, includes
from tests.unit.examples.golden import EXAMPLES
from tests.unit.reconcile.kstatus import states

# The first test starts the control plane, or builds the interpreter where it is missing.
pytestmark = pytest.mark.timeout(240)

ARGO_CD = EXAMPLES / "gitops" / "argo-cd.yaml"
FLUX = EXAMPLES / "gitops" / "flux.yaml"
HEALTH = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}
"""What Argo CD calls what kstatus says."""
STATES = states()


@pytest.fixture(scope="module")
def flux(kubectl: Kubectl) -> None:
    """The kinds of Flux, from its own modules."""
    for module, file in (
        ("flux-kustomize", "kustomize.toolkit.fluxcd.io_kustomizations.yaml"),
        ("flux-source", "source.toolkit.fluxcd.io_gitrepositories.yaml"),
    ):
        folder = binaries.module_folder(pins.load().module(module)) / "config" / "crd" / "bases"
        kubectl("apply", "--server-side", "-f", str(folder / file))
    names = ("kustomizations.kustomize.toolkit.fluxcd.io", "gitrepositories.source.toolkit.fluxcd.io")
    eventually(
        lambda: [conditions(kubectl.get("crd", name)).get("Established", {}).get("status") for name in names],
        until=lambda found: set(found) == {"True"},
        seconds=60,
        what="the API server serves the kinds of Flux",
    )


def test_flux_accepts_its_example(kubectl: Kubectl, namespace: str, flux: None) -> None:
    objects = list(yaml.safe_load_all(FLUX.read_text(encoding="utf-8")))
    assert [obj["kind"] for obj in objects] == ["GitRepository", "Kustomization"]
    for obj in objects:
        here = {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}
        kubectl.apply(here)
        kind = f"{obj['kind']}.{obj['apiVersion'].partition('/')[0]}"
        assert includes(kubectl.get(kind, obj["metadata"]["name"], namespace=namespace)["spec"], obj["spec"])


def test_a_new_deployment_is_not_taken_for_done(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES / "minimal.yaml"))
    assert kubectl.get("gdep", "chat", namespace=namespace)["status"] == STATES["was just made"][0]["status"]


def test_the_patch_for_argo_cd_adds_a_health_check(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "configmap", "argocd-cm", "-n", namespace, "--from-literal=url=https://argo.example.com")
    kubectl("patch", "configmap", "argocd-cm", "-n", namespace, "--patch-file", str(ARGO_CD))
    data = kubectl.get("configmap", "argocd-cm", namespace=namespace)["data"]
    assert set(data) == {"url", "resource.customizations.health.gemma4stack.dev_GemmaDeployment"}


@pytest.mark.parametrize("state", STATES)
def test_argo_cd_sees_what_kstatus_sees(tmp_path: Path, state: str) -> None:
    obj, says = STATES[state]
    health, message = argo_cd(obj, tmp_path)
    assert health == HEALTH[says]
    assert message


def test_argo_cd_waits_for_a_status(tmp_path: Path) -> None:
    """Where the CRD is older than its default."""
    assert argo_cd({"metadata": {"generation": 1}}, tmp_path)[0] == "Progressing"


def argo_cd(obj: dict[str, Any], folder: Path) -> tuple[str, str]:
    """Health and message that the script of the example gives an object, in the interpreter that Argo CD has."""
    [script] = yaml.safe_load(ARGO_CD.read_text(encoding="utf-8"))["data"].values()
    program = folder / "health.lua"
    program.write_text(
        f"obj = {_lua(obj)}\nlocal function health()\n{script}\nend\n"
        "local hs = health()\nprint(hs.status)\nprint(hs.message)\n"
    )
    done = subprocess.run([binaries.path("glua"), program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    health, _, message = done.stdout.strip().partition("\n")
    return health, message


def _lua(value: Any) -> str:
    """A value as Lua writes it."""
    match value:
        case dict():
            return "{" + ", ".join(f"[{_lua(key)}] = {_lua(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "{" + ", ".join(map(_lua, value)) + "}"
        case str():
            return '"' + "".join(f"\\{byte:03}" for byte in value.encode()) + '"'
        case None:
            return "nil"
    return json.dumps(value)
