"""Every example stands in examples/README.md, and plans on its fleet as it did when somebody last looked."""

import difflib
import re

import pytest

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


def test_no_kept_plan_is_left_over() -> None:
    assert set(golden.DIRECTORY.rglob("*.txt")) == {golden.path(example) for example in FLEETS}
