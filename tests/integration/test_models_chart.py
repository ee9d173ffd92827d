"""The chart of a fleet: what becomes of its values, what it refuses, and what it leaves to others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from gemma_operator.api.spec import GemmaDeploymentSpec
from localk8s.controlplane import ControlPlane

from tests import helm
from tests.helm import MODELS, ROOT, Object, named
from tests.kubectl import Kubectl

VARIANTS = helm.variants(MODELS)
KIND = "GemmaDeployment"

# The first test builds helm where it is missing.
pytestmark = pytest.mark.timeout(900)


def render(values: Object | None = None) -> list[Object]:
    return helm.rendered(MODELS, values)


def specs(values: Object) -> dict[str, Object]:
    """Spec by name."""
    return {obj["metadata"]["name"]: obj["spec"] for obj in render(values)}


def test_lint_finds_nothing():
    done = helm.helm("lint", "--strict", MODELS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gives_what_the_operator_understands(variant):
    deployments = VARIANTS[variant].get("deployments", {})
    objects = render(VARIANTS[variant])
    wanted = {name for name, spec in deployments.items() if spec.get("enabled", True)}
    assert {obj["metadata"]["name"] for obj in objects} == wanted
    for obj in objects:
        assert (obj["apiVersion"], obj["kind"]) == ("gemma4stack.dev/v1alpha1", KIND)
        assert obj["metadata"]["namespace"] == helm.NAMESPACE
        GemmaDeploymentSpec.model_validate(obj["spec"])


class TestDefaults:
    def test_what_a_deployment_gives_wins_even_where_it_is_nothing(self):
        found = specs(VARIANTS["fleet"])
        assert found["chat"]["features"] == {"thinking": True}
        assert found["small"]["features"] == {"thinking": False}
        assert found["small"]["scaling"] == {"min": 0, "max": 2}
        assert found["best"]["scaling"] == {"min": 1, "max": 2}
        assert found["chat"]["weights"] == {"cache": {"size": "200Gi"}}

    def test_lists_are_replaced(self):
        found = specs(VARIANTS["everything"])
        assert found["chat"]["accelerators"] == ["h100"]
        assert found["plain"]["accelerators"] == ["l4", "l40s"]

    def test_no_deployment_changes_those_of_another(self):
        """They are applied by name, and a merge into the defaults themselves would be seen in all that follow."""
        found = specs({"defaults": {"scaling": {"max": 2}}, "deployments": {"a": {"scaling": {"min": 0}}, "b": {}}})
        assert found["b"] == {"scaling": {"max": 2}}

    def test_a_deployment_may_say_nothing(self):
        assert specs({"deployments": {"a": None, "b": {}}}) == {"a": {}, "b": {}}

    def test_what_is_not_given_is_not_written(self):
        assert "replicas" not in specs(VARIANTS["everything"])["chat"]


def test_metadata_of_one_and_of_all():
    objects = render(VARIANTS["everything"])
    chat, plain = (named(objects, KIND, name)["metadata"] for name in ("chat", "plain"))
    assert chat["labels"]["tier"] == "gold"
    assert "tier" not in plain["labels"]
    for metadata in (chat, plain):
        assert metadata["labels"]["team"] == "ml"
        assert metadata["labels"]["app.kubernetes.io/instance"] == "gemma"
        assert metadata["annotations"]["example.com/owner"] == "ml"
        assert metadata["annotations"]["helm.sh/resource-policy"] == "keep"
    assert chat["annotations"]["gemma4stack.dev/paused"] == "true"
    assert "annotations" not in render(VARIANTS["fleet"])[0]["metadata"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"deployment": {}}, "deployment"),
        ({"deployments": {"chat": {"modell": "e4b"}}}, "modell"),
        ({"deployments": {"chat": {"scaling": {"mni": 1}}}}, "mni"),
        ({"deployments": {"chat": {"precision": "fp7"}}}, "precision"),
        ({"deployments": {"chat": {"context": "8k"}}}, "context"),
        ({"deployments": {"chat": {"maxCostPerHour": 0}}}, "maxCostPerHour"),
        ({"deployments": {"chat": {"pod": {"env": [{"value": "x"}]}}}}, "env"),
        ({"deployments": {"Chat_x": {}}}, "at '/deployments': additional properties 'Chat_x' not allowed"),
        ({"deployments": {"a" * 41: {}}}, f"at '/deployments': additional properties '{'a' * 41}' not allowed"),
        ({"defaults": {"modell": "e4b"}}, "modell"),
        ({"deployments": {"chat": {"metadata": {"name": "other"}}}}, "name"),
    ],
)
def test_wrong_values_are_refused_by_name(values, says):
    assert says in helm.refusal(MODELS, values)


def fleet(**routers: Object) -> Object:
    return {"deployments": {name: {"router": router} for name, router in routers.items()}}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (fleet(a={"aliases": ["x"]}, b={"aliases": ["x"]}), "Give it to one of them"),
        ({"defaults": {"router": {"aliases": ["x"]}}, "deployments": {"a": {}, "b": {}}}, "an alias in `defaults`"),
        (fleet(a={"aliases": ["b"]}, b={}), "remove the alias, or set another router.name"),
        (fleet(a={"fallbacks": ["a"]}), "name another deployment, or none"),
        (
            {"deployments": {"a": {"router": {"fallbacks": ["b"]}}, "b": {"enabled": False}}},
            "remove it from router.fallbacks, or enable it",
        ),
    ],
)
def test_what_one_deployment_cannot_see_is_refused_with_a_remedy(values, says):
    assert says in helm.refusal(MODELS, values)


def test_the_same_alias_at_two_routers_is_fine():
    assert len(render(fleet(a={"aliases": ["x"]}, b={"aliases": ["x"], "name": "other"}))) == 2


@pytest.mark.parametrize(
    "routers",
    [
        {"a": {"aliases": ["b"]}, "b": {"name": "other"}},
        {"a": {"aliases": ["b"]}, "b": {"enabled": False}},
        {"a": {"aliases": ["x"]}, "b": {"aliases": ["x"], "enabled": False}},
        {"a": {"aliases": ["a"]}, "b": {}},
    ],
)
def test_a_name_that_no_other_at_the_router_has_is_fine(routers):
    assert len(render(fleet(**routers))) == 2


def test_a_fallback_may_come_from_elsewhere():
    assert specs(fleet(a={"fallbacks": ["elsewhere"]}))["a"]["router"]["fallbacks"] == ["elsewhere"]


def test_an_empty_fleet_is_told():
    def notes(values: Object) -> str:
        arguments = ("models", MODELS, "--dry-run=client", "--namespace", "team-a", "--values", "-")
        done = helm.helm("install", *arguments, stdin=json.dumps(values))
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:\n")[2]

    assert "WARNING: no GemmaDeployment" in notes({})
    told = notes(VARIANTS["fleet"])
    assert "WARNING" not in told
    assert "3 GemmaDeployments in namespace team-a: best, chat, small" in told
    assert "gdep -l app.kubernetes.io/instance=models -n team-a" in told
    assert "keep is true" in notes(VARIANTS["everything"])


def test_what_would_be_planned_can_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": render(VARIANTS["fleet"])}))
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "gemma_operator.cli",
        "plan",
        "-f",
        file,
        "--nodes",
        ROOT / "examples/fleet.yaml",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [name for name in ("best", "chat", "small") if name in done.stdout] == ["best", "chat", "small"]


class TestInACluster:
    def run(self, plane: ControlPlane, *arguments: str | Path, values: Object | None = None) -> str:
        given = ["--values", "-"] if values is not None else []
        done = helm.helm(*arguments, *given, "--kubeconfig", plane.kubeconfig, stdin=json.dumps(values))
        assert done.returncode == 0, done.stderr
        return done.stdout

    @pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "default"])
    def test_the_api_server_accepts_every_variant(self, kubectl: Kubectl, namespace: str, variant: str) -> None:
        for obj in render(VARIANTS[variant]):
            here = {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}
            kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(here))

    def test_an_upgrade_leaves_replicas_to_who_scales(
        self, control_plane: ControlPlane, kubectl: Kubectl, namespace: str
    ) -> None:
        where = ("models", MODELS, "--namespace", namespace)
        self.run(control_plane, "install", *where, values={"deployments": {"chat": {"model": "e4b"}, "old": {}}})
        kubectl("scale", "gdep/chat", "--replicas=3", "-n", namespace)
        self.run(control_plane, "upgrade", *where, values={"deployments": {"chat": {"model": "e2b"}}})
        spec = kubectl.get("gdep", "chat", namespace=namespace)["spec"]
        assert (spec["model"], spec["replicas"]) == ("e2b", 3)
        assert [obj["metadata"]["name"] for obj in kubectl.find("gdep", namespace=namespace)] == ["chat"]
        self.run(control_plane, "uninstall", "models", "--namespace", namespace)
        assert kubectl.find("gdep", namespace=namespace) == []

    def test_a_kept_fleet_outlives_its_release(
        self, control_plane: ControlPlane, kubectl: Kubectl, namespace: str
    ) -> None:
        values = {"keep": True, "deployments": {"chat": {"model": "e4b"}}}
        self.run(control_plane, "install", "models", MODELS, "--namespace", namespace, values=values)
        self.run(control_plane, "uninstall", "models", "--namespace", namespace)
        assert kubectl.get("gdep", "chat", namespace=namespace)["spec"]["model"] == "e4b"
