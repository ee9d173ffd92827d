"""Every example stands in examples/README.md, and plans on its fleet as it did when somebody last looked."""

import difflib
import json
import re
from pathlib import Path

import pytest
import yaml
from engine_standin.config import build_config
from engine_standin.flags import parse
from engine_standin.settings import read_settings
from gemma_operator.api.spec import GemmaDeploymentSpec

from tests.unit.examples import golden

FLEETS = golden.fleets()
README = (golden.EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_the_readme_links_every_file_and_nothing_else() -> None:
    links = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)]+)\)", README)}
    assert [link for link in links if not (golden.EXAMPLES / link).exists()] == []
    files = {str(file.relative_to(golden.EXAMPLES)) for file in golden.EXAMPLES.rglob("*.yaml")}
    assert sorted(files - links) == []


@pytest.mark.parametrize("example", FLEETS)
def test_planned_as_kept(example: str) -> None:
    result = golden.planned(example)
    assert (result.exit_code, result.stderr) == (0, "")
    path = golden.path(example)
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    printed = golden.text(result)
    difference = "".join(
        difflib.unified_diff(kept.splitlines(True), printed.splitlines(True), fromfile=str(path), tofile="planned")
    )
    assert not difference, f"{difference}\nif this is meant: .venv/bin/python -m tests.unit.examples.golden --update"


@pytest.mark.parametrize("example", FLEETS)
def test_an_engine_starts_with_what_the_example_asks_for(example: str, tmp_path: Path) -> None:
    """As far as the configuration of the stand-in, which refuses what vLLM refuses."""
    printed = json.loads(golden.planned(example, "-o", "json").stdout)
    plans = {each["name"]: each["plan"]["pools"][0] for each in printed.get("items", [printed])}
    objects = yaml.safe_load_all((golden.EXAMPLES / example).read_text(encoding="utf-8"))
    specs = {obj["metadata"]["name"]: obj["spec"] for obj in objects if obj["kind"] == "GemmaDeployment"}
    assert plans.keys() == specs.keys()
    for name, pool in plans.items():
        spec = GemmaDeploymentSpec.model_validate(specs[name])
        config = build_config(parse(pool["args"]), read_settings({}), env={"HOME": str(tmp_path)})
        assert config.name == name
        assert config.max_model_len >= spec.context
        assert config.max_num_seqs >= spec.concurrency
        assert bool(config.tool_parser) == spec.features.tools
        assert config.reasoning_parser
        assert bool(config.template_defaults.get("enable_thinking")) == spec.features.thinking
        assert ("audio" in config.media_limits) == bool(spec.features.audio)
        assert "image" in config.media_limits


def test_no_kept_plan_is_left_over() -> None:
    assert set(golden.DIRECTORY.rglob("*.txt")) == {golden.path(example) for example in FLEETS}
