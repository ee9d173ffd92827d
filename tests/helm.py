"""Charts as Helm renders them."""

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from localk8s import binaries

Object = dict[str, Any]

ROOT = Path(__file__).parents[1]
STACK = ROOT / "charts" / "gemma4-stack"
MODELS = ROOT / "charts" / "gemma4-models"
NAMESPACE = "gemma-system"


def helm(*arguments: str | Path, stdin: str | None = None, command: str = "helm") -> subprocess.CompletedProcess[str]:
    """Run Helm 4, or with the command `helm3` the version before; the caller looks at the exit status."""
    return subprocess.run([binaries.path(command), *arguments], input=stdin, capture_output=True, text=True)


def rendered(chart: Path, values: Object | None = None, *options: str, release: str = "gemma") -> list[Object]:
    """The objects of a chart."""
    text = _template(chart, json.dumps(values or {}), release, *options)
    return [obj for obj in yaml.safe_load_all(text) if obj]


@cache
def _template(chart: Path, values: str, release: str, *options: str) -> str:
    done = helm("template", release, chart, "--namespace", NAMESPACE, "--values", "-", *options, stdin=values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(chart: Path, values: Object) -> str:
    """What Helm says about values that it does not render."""
    done = helm("template", "gemma", chart, "--values", "-", stdin=json.dumps(values))
    assert done.returncode != 0, "accepted"
    return done.stderr


def variants(chart: Path) -> dict[str, Object]:
    """The values in `ci/` by the name of the variant."""
    found = {
        path.name.removesuffix("-values.yaml"): yaml.safe_load(path.read_text())
        for path in sorted((chart / "ci").glob("*-values.yaml"))
    }
    assert found, f"{chart}/ci has no values"
    return found


def of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    """All objects of a kind."""
    return [obj for obj in objects if obj["kind"] == kind]


def named(objects: Sequence[Object], kind: str, name: str) -> Object:
    """The one object of a kind and name."""
    [found] = [obj for obj in of_kind(objects, kind) if obj["metadata"]["name"] == name]
    return found


def pod_template(objects: Sequence[Object]) -> Object:
    """The pod template of the only Deployment."""
    [deployment] = of_kind(objects, "Deployment")
    template: Object = deployment["spec"]["template"]
    return template
