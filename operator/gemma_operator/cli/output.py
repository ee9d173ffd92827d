"""Where a command writes: tables for people, JSON or YAML for programs."""

import json
import sys
from enum import StrEnum
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table

_PIPED_WIDTH: Final = 200
MARK: Final = "*"
"""Beside every value that was inferred and not read from a source."""
FOOTNOTE: Final = f"{MARK} inferred, not read from a source"


class Format(StrEnum):
    """How a command prints."""

    table = "table"
    json = "json"
    yaml = "yaml"


def console() -> Console:
    """Standard output; in a pipe wide and without colour, so that lines stay whole for grep and awk."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=_PIPED_WIDTH, no_color=True, force_terminal=False)


def warn(text: str) -> None:
    """A note for people on standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def write(value: Any, *, form: Format) -> None:
    """A value as JSON or YAML."""
    if form is Format.yaml:
        sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_PIPED_WIDTH))
    else:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A plain table without lines; columns named in `right` hold numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made
