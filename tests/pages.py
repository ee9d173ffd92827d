"""The command blocks of README and documentation, and what runs each of them.

A block in `sh` or `console` is run as it stands by `tests/integration/test_documentation.py`, which has no cluster. One
that needs more is named in `ELSEWHERE` with the test that runs it, or stands under a comment that gives the reason:

    <!-- not run: needs a GPU and ten minutes -->
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "charts/*/README.md", "examples/*.md", "hack/*.md", "tests/standin/*.md")
    for path in ROOT.glob(pattern)
)
COMMANDS = frozenset({"sh", "console"})
"""Languages of blocks that people paste into a shell."""
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>.*)$")
_NOT_RUN = re.compile(r"^<!-- not run: (?P<reason>.*) -->$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A block that a test with a cluster picks by a text in it."""

    page: str
    containing: str
    test: str
    """As pytest names it."""


ELSEWHERE = tuple(
    Elsewhere(page=page, containing=containing, test=test)
    for page, containing, test in (
        ("README.md", "make demo", "tests/e2e/test_readme.py::test_make_demo"),
        ("README.md", "helm upgrade", "tests/e2e/test_readme.py::test_deploying_and_asking"),
        ("README.md", "port-forward", "tests/e2e/test_readme.py::test_deploying_and_asking"),
        ("README.md", "kubectl gemma memory", "tests/e2e/test_readme.py::test_the_cli"),
        (
            "charts/gemma4-models/README.md",
            "helm install models",
            "tests/integration/test_documentation.py::test_a_fleet_from_values",
        ),
        ("docs/operations/backup.md", "export -A", "tests/integration/test_documentation.py::test_backup_and_restore"),
        (
            "docs/operations/backup.md",
            "from-env-file",
            "tests/integration/test_documentation.py::test_backup_and_restore",
        ),
        ("docs/router.md", "gemma-router-keys", "tests/integration/test_documentation.py::test_client_keys"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    page: str
    """Path in the repository."""
    line: int
    """Of its first fence, counted from 1."""
    language: str
    text: str
    not_run: str | None
    """Reason of the comment directly before it."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, text: str) -> Iterator[Block]:
    """Fenced blocks of a page in order; raises `ValueError` for one that does not end."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        if not (fence := _FENCE.match(lines[number])):
            number += 1
            continue
        end = next((at for at in range(number + 1, len(lines)) if lines[at] == fence["indent"] + "```"), None)
        if end is None:
            raise ValueError(f"{page}:{number + 1}: the block has no end")
        before = next((line for line in reversed(lines[:number]) if line.strip()), "")
        comment = _NOT_RUN.match(before.strip())
        yield Block(
            page=page,
            line=number + 1,
            language=fence["language"].strip(),
            text="".join(line.removeprefix(fence["indent"]) + "\n" for line in lines[number + 1 : end]),
            not_run=comment["reason"] if comment else None,
        )
        number = end + 1


def all_blocks() -> list[Block]:
    """Fenced blocks of every page."""
    return [block for path in PAGES for block in blocks(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))]


def elsewhere(block: Block) -> list[Elsewhere]:
    """What claims to run a block with a cluster."""
    return [each for each in ELSEWHERE if each.page == block.page and each.containing in block.text]


def run_here() -> list[Block]:
    """Blocks that are run as they stand."""
    commands = [block for block in all_blocks() if block.language in COMMANDS]
    return [block for block in commands if block.not_run is None and not elsewhere(block)]


def block_of(page: str, *, containing: str, language: str = "sh") -> Block:
    """The one block of a page that contains a text."""
    here = [each for each in all_blocks() if (each.page, each.language) == (page, language)]
    (found,) = [each for each in here if containing in each.text]
    return found


def sessions(block: Block) -> list[tuple[str, list[str]]]:
    """Commands of a block with the output that it shows; a block in `sh` is one command and shows none.

    In `console` a command begins with `$ ` and goes on in lines that begin with `> `, as shells show it.
    """
    if block.language == "sh":
        return [(block.text, [])]
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif not found:
            raise ValueError(f"{block}: a block in console begins with a line that starts with `$ `")
        elif line.startswith("> ") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line.removeprefix('> ')}", [])
        else:
            found[-1][1].append(line)
    return found


def difference(shown: list[str], printed: list[str]) -> str | None:
    """How what a page shows differs from what was printed, or `None`; `…` alone in a line stands for any lines.

    Spaces at the end of a line do not count.
    """
    if not shown:
        return None
    parts: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == "…":
            parts.append([])
        else:
            parts[-1].append(line.rstrip())
    left = [line.rstrip() for line in printed]
    for number, part in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        starts = range(len(left) - len(part) + 1)
        if first:
            starts = starts[:1]
        if last and part:
            starts = starts[-1:] if not first else range(1 if len(left) == len(part) else 0)
        at = next((at for at in starts if left[at : at + len(part)] == part), None)
        if at is None:
            return "shown and not printed:\n" + "\n".join(part) + "\nprinted:\n" + "\n".join(left)
        left = left[at + len(part) :]
    return None
