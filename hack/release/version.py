"""The version of the tree, the texts that are derived from it, and what the changelog must say of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from gemma_operator import __version__
from localk8s import paths
from localk8s.console import LocalError

VERSION: Final = __version__
"""The one place is `operator/gemma_operator/__init__.py`: the package reads it there, the charts get it generated."""
CHANGELOG: Final = paths.REPOSITORY / "CHANGELOG.md"
UNRELEASED: Final = "unreleased"
GROUPS: Final = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_SEMVER: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_SECTION: Final = re.compile(r"## \[(?P<version>[^\]]+)\] - (?P<when>.+)")
_CHART_FIELDS: Final = (
    (re.compile(r"^version: .*$", re.MULTILINE), "version: {}"),
    (re.compile(r'^appVersion: ".*"$', re.MULTILINE), 'appVersion: "{}"'),
)
_CHART_IMAGE: Final = re.compile(r"^( +image: \S+/gemma-operator:)\S+$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One version of the changelog."""

    version: str
    when: str
    """A date (YYYY-MM-DD), or `unreleased`."""
    text: str


def chart_file(chart: Path, *, version: str = VERSION) -> str:
    """`Chart.yaml` of a chart with this version; raises `LocalError` where a field to set is missing."""
    text = (chart / "Chart.yaml").read_text(encoding="utf-8")
    for field, wanted in _CHART_FIELDS:
        text, count = field.subn(wanted.format(version), text)
        if count != 1:
            raise LocalError(f"{chart.name}/Chart.yaml: one line {wanted.format('…')!r} is needed, there are {count}")
    return _CHART_IMAGE.sub(rf"\g<1>{version}", text)


def sections(text: str) -> Iterator[Section]:
    """The versions of a changelog; raises `LocalError` for a heading that is none."""
    for part in re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        found = _SECTION.fullmatch(heading)
        if found is None:
            raise LocalError(f"CHANGELOG.md: {heading!r}: write ## [1.2.3] - 2026-01-31, or ## [1.2.3] - {UNRELEASED}")
        yield Section(version=found["version"], when=found["when"], text=body)


def changelog_problems(text: str, *, version: str = VERSION) -> list[str]:
    """What is wrong with a changelog for a tree of this version, each with what to do; empty: nothing."""
    try:
        found = list(sections(text))
    except LocalError as error:
        return [str(error)]
    if not found:
        return [f"CHANGELOG.md has no version: begin with ## [{version}] - {UNRELEASED}"]
    problems = []
    if found[0].version != version:
        problems.append(
            f"CHANGELOG.md: the newest version is {found[0].version} and the tree is {version}: "
            f"write a section ## [{version}] - {UNRELEASED} above it"
        )
    for number, section in enumerate(found):
        problems += _of_section(section, newest=number == 0)
    order = [_numbers(section.version) for section in found]
    if order != sorted(set(order), reverse=True):
        problems.append("CHANGELOG.md: versions stand newest first, each once")
    return problems


def _of_section(section: Section, *, newest: bool) -> Iterator[str]:
    where = f"CHANGELOG.md: {section.version}"
    if not _SEMVER.fullmatch(section.version):
        yield f"{where}: versions are three numbers, such as 1.2.3"
    if not (_is_date(section.when) or (newest and section.when == UNRELEASED)):
        yield f"{where}: {section.when!r} is no date (YYYY-MM-DD); only the newest may be {UNRELEASED}"
    head, *groups = re.split(r"^### ", section.text, flags=re.MULTILINE)
    if not groups:
        yield f"{where}: says nothing; write what changed under ### Added, ### Changed, ### Fixed …"
    if re.search(r"^- ", head, flags=re.MULTILINE):
        yield f"{where}: entries stand under ### {' or ### '.join(GROUPS)}"
    for group in groups:
        title, _, body = group.partition("\n")
        if title not in GROUPS:
            yield f"{where}: ### {title}: use {', '.join(GROUPS)}"
        if not re.search(r"^- \S", body, flags=re.MULTILINE):
            yield f"{where}: ### {title} is empty: write what changed as a list, or remove it"


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _numbers(version: str) -> tuple[int, ...]:
    found = _SEMVER.fullmatch(version)
    return tuple(map(int, found.groups())) if found else ()
