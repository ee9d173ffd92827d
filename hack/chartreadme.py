"""The table of values in a chart's README, made from values.yaml and its comments."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

BEGIN = "<!-- Made from values.yaml by `make manifests`; do not edit. -->\n"
END = "<!-- End of the values. -->\n"
_KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):(.*)$")


class UndocumentedValueError(ValueError):
    """A value without a comment."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a chart that a person may set."""

    path: str
    default: str
    comment: str


def with_values(readme: str, values: str) -> str:
    """`readme` with the table between its two marks made anew; raises `ValueError` where a mark is missing."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the README lacks {BEGIN.strip()!r} or {END.strip()!r}")
    rows = [f"| `{value.path}` | {_cell(value.default)} | {_escaped(value.comment)} |" for value in documented(values)]
    table = "\n".join(["| value | default | meaning |", "| --- | --- | --- |", *rows])
    return f"{head}{begin}{table}\n{end}{tail}"


def readme(chart: Path) -> str:
    """The README of a chart as it should be."""
    return with_values((chart / "README.md").read_text(), (chart / "values.yaml").read_text())


def documented(text: str) -> Iterator[Value]:
    """Values in their order. One with a comment is a row, with all below it unless something there has a comment too.

    Raises `UndocumentedValueError` for a value that is part of no row.
    """
    entries = list(_entries(text))
    data = yaml.safe_load(text)
    whole: tuple[str, ...] | None = None
    for path, comment in entries:
        below = [other for other in entries if len(other[0]) > len(path) and other[0][: len(path)] == path]
        explained_below = any(other[1] for other in below)
        if comment:
            whole = None if explained_below else path
            default = "" if explained_below else json.dumps(_at(data, path))
            yield Value(path=".".join(path), default=default, comment=comment)
        elif not below and (whole is None or path[: len(whole)] != whole):
            raise UndocumentedValueError(f"values.yaml: {'.'.join(path)} has no comment")


def _entries(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path and comment of every key, in order; a comment is the lines directly above its key."""
    stack: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("#").strip())
            continue
        if found := _KEY.match(line):
            indent = len(found[1])
            stack = [*((depth, key) for depth, key in stack if depth < indent), (indent, found[2])]
            yield tuple(key for _, key in stack), " ".join(comment)
        comment = []


def _at(data: object, path: tuple[str, ...]) -> object:
    for key in path:
        if not isinstance(data, dict):
            raise ValueError(f"values.yaml: {'.'.join(path)} is not where its indent says")
        data = data[key]
    return data


def _cell(default: str) -> str:
    return f"`{_escaped(default)}`" if default else "–"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
