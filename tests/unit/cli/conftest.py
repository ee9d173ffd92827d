"""Running the command line in this process, and clusters in files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from gemma_operator.cli.main import app
from typer.testing import CliRunner, Result

from tests.unit.inventory.builders import Object, node

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """`run("plan", "-f", path)`: the result of a command."""

    def invoke(*arguments: Any, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)

    return invoke


@pytest.fixture
def wanted(tmp_path: Path) -> Callable[..., Path]:
    """Write GemmaDeployments to a file: `wanted(chat={"model": "e2b"})`."""

    def write(**specs: dict[str, Any]) -> Path:
        path = tmp_path / "wanted.yaml"
        path.write_text(yaml.safe_dump_all([gemma(name, spec) for name, spec in specs.items()]))
        return path

    return write


@pytest.fixture
def cluster(tmp_path: Path) -> Callable[..., Path]:
    """Write objects to a file as `kubectl get -o json` does; without any: a node with 4 L4."""

    def write(*objects: Object, **more: Any) -> Path:
        path = tmp_path / "cluster.json"
        items = list(objects) or [node("l4")]
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items, **more}))
        return path

    return write


def gemma(name: str, spec: dict[str, Any], **metadata: Any) -> Object:
    """A GemmaDeployment."""
    return {
        "apiVersion": "gemma4stack.dev/v1alpha1",
        "kind": "GemmaDeployment",
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }
