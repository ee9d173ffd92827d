"""Helm 3, which many people still run: it renders the same objects, installs them, and hands over to Helm 4."""

import json
from pathlib import Path

import pytest
import yaml
from localk8s.controlplane import ControlPlane

from tests import helm
from tests.helm import MODELS, STACK, Object
from tests.kubectl import Kubectl

CASES = [(chart, variant) for chart in (STACK, MODELS) for variant in helm.variants(chart)]

# The first test builds both versions where they are missing.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(("chart", "variant"), CASES, ids=[f"{chart.name}-{variant}" for chart, variant in CASES])
def test_it_renders_the_same_objects(chart: Path, variant: str) -> None:
    values = helm.variants(chart)[variant]
    arguments = ("template", "gemma", chart, "--namespace", helm.NAMESPACE, "--values", "-")
    done = helm.helm(*arguments, stdin=json.dumps(values), command="helm3")
    assert done.returncode == 0, done.stderr
    theirs = [obj for obj in yaml.safe_load_all(done.stdout) if obj]
    assert _by_name(theirs) == _by_name(helm.rendered(chart, values))


def test_the_version_is_another() -> None:
    assert helm.helm("version", "--short", command="helm3").stdout.startswith("v3.")
    assert helm.helm("version", "--short").stdout.startswith("v4.")


@pytest.mark.parametrize("chart", [STACK, MODELS], ids=lambda chart: chart.name)
def test_lint_finds_nothing(chart: Path) -> None:
    done = helm.helm("lint", "--strict", chart, command="helm3")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_release_is_installed_upgraded_and_handed_over(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    def run(*arguments: str | Path, command: str, values: Object | None = None) -> None:
        given = ["--values", "-"] if values is not None else []
        options: list[str | Path] = ["--namespace", namespace, "--kubeconfig", control_plane.kubeconfig, *given]
        done = helm.helm(*arguments, *options, stdin=json.dumps(values), command=command)
        assert done.returncode == 0, done.stderr

    def workers() -> str:
        config = kubectl.get("configmap", "gemma-operator-config", namespace=namespace)["data"]["config.yaml"]
        return str(yaml.safe_load(config).get("workers"))

    # The definition of this control plane may belong to the release of another test.
    run("install", "gemma", STACK, "--take-ownership", command="helm3", values={})
    run("upgrade", "gemma", STACK, command="helm3", values={"config": {"workers": 2}})
    assert workers() == "2"
    run("upgrade", "gemma", STACK, command="helm", values={"config": {"workers": 3}, "podLabels": {"a": "b"}})
    assert workers() == "3"
    template = kubectl.get("deployment", "gemma-operator", namespace=namespace)["spec"]["template"]
    assert template["metadata"]["labels"]["a"] == "b"
    run("uninstall", "gemma", command="helm")
    assert kubectl.find("deployments", namespace=namespace) == []
    assert kubectl.get("crd", "gemmadeployments.gemma4stack.dev")


def _by_name(objects: list[Object]) -> dict[tuple[str, str, str], Object]:
    found = {(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj for obj in objects}
    assert len(found) == len(objects)
    return found
