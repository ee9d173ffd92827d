"""One version in the whole tree, and a changelog that tells of it."""

import re
import tomllib

import gemma_operator
import pytest
from localk8s import paths
from localk8s.console import LocalError
from release.version import CHANGELOG, VERSION, changelog_problems, chart_file

GOOD = """# Changelog

Intro.

## [1.1.0] - unreleased

### Added

- Something.

## [1.0.0] - 2026-01-31

### Fixed

- Something else.
"""


def test_the_changelog_of_this_tree_tells_of_its_version():
    assert changelog_problems(CHANGELOG.read_text()) == []


def test_the_version_is_written_once():
    """Everything else that states it is made from it by hack/generate.py."""
    project = tomllib.loads((paths.REPOSITORY / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "gemma_operator.__version__"}
    assert gemma_operator.__version__ == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


@pytest.mark.parametrize("chart", ["gemma4-stack", "gemma4-models"])
def test_charts_follow_the_version(chart):
    folder = paths.REPOSITORY / "charts" / chart
    text = chart_file(folder, version="7.8.9")
    assert '\nversion: 7.8.9\nappVersion: "7.8.9"\n' in text
    assert VERSION not in text
    assert text.replace("7.8.9", VERSION) == (folder / "Chart.yaml").read_text()


def test_a_chart_without_a_version_is_told(tmp_path):
    (tmp_path / "Chart.yaml").write_text('name: x\nappVersion: "1.0.0"\n')
    with pytest.raises(LocalError, match="'version: …' is needed, there are 0"):
        chart_file(tmp_path)


def test_a_good_changelog():
    assert changelog_problems(GOOD, version="1.1.0") == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("[1.1.0]", "[1.0.9]", "the newest version is 1.0.9 and the tree is 1.1.0"),
        ("## [1.1.0] - unreleased", "## 1.1.0", "write ## [1.2.3] - 2026-01-31"),
        ("2026-01-31", "unreleased", "only the newest may be unreleased"),
        ("2026-01-31", "31.1.2026", "is no date"),
        ("### Added\n\n- Something.\n", "", "1.1.0: says nothing"),
        ("- Something.\n", "", "1.1.0: ### Added is empty"),
        ("### Added\n\n- Something.", "- Something.", "1.1.0: entries stand under ### Added"),
        ("### Added", "### New", "1.1.0: ### New: use Added, Changed"),
        ("[1.0.0]", "[1.2.0]", "versions stand newest first"),
        ("[1.0.0]", "[1.1.0]", "versions stand newest first, each once"),
    ],
)
def test_what_is_wrong_with_a_changelog_is_told(before, after, told):
    assert before in GOOD
    problems = changelog_problems(GOOD.replace(before, after), version="1.1.0")
    assert any(told in problem for problem in problems), problems


def test_a_changelog_without_versions():
    assert changelog_problems("# Changelog\n", version="1.1.0") == [
        "CHANGELOG.md has no version: begin with ## [1.1.0] - unreleased"
    ]
