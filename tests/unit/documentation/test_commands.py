"""Every command block of README and documentation is run by a test, or says why it is not."""

import ast
import re
from pathlib import Path

import pytest

from tests import pages
from tests.pages import Block

BLOCKS = pages.all_blocks()
LANGUAGES = {*pages.COMMANDS, "yaml", "json", "python", "text"}
_COMMAND = re.compile(
    r"^(?: {4,}|\t)\s*(?:\$ |(?:kubectl|helm|make|pip|python3?|curl|docker|git|sh|bash|PYTHON\w+=\S+) )"
)
_FILE = re.compile(r"`((?:tests|operator|charts|examples|docs|hack|bench|requirements)/[\w*./-]+)`")


def test_there_are_pages_and_blocks() -> None:
    """What follows would hold for none."""
    assert {"README.md", "docs/cli.md"} <= {block.page for block in BLOCKS}
    assert pages.run_here()


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block}: {block.language!r} is not one of {sorted(LANGUAGES)}"


@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: path.relative_to(pages.ROOT).as_posix())
def test_no_command_hides_outside_a_block(path: Path) -> None:
    inside: set[int] = set()
    page = path.relative_to(pages.ROOT).as_posix()
    lines = path.read_text("utf-8").splitlines()
    for block in pages.blocks(page, "\n".join(lines)):
        inside |= set(range(block.line - 1, block.line + block.text.count("\n") + 1))
    hidden = [f"{page}:{at + 1}: {line}" for at, line in enumerate(lines) if at not in inside and _COMMAND.match(line)]
    assert not hidden, "put commands into a block in sh or console"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in pages.COMMANDS], ids=str)
def test_a_block_is_run_by_one_test_or_says_why_not(block: Block) -> None:
    claims = pages.elsewhere(block)
    assert len(claims) <= 1, f"{block} is claimed by {[claim.test for claim in claims]}"
    if block.not_run is not None:
        assert not claims, f"{block} is said not to run, and {claims[0].test} is said to run it"
        assert len(block.not_run.split()) >= 3, f"{block}: say why it is not run"
        named = re.findall(r"tests/[\w./-]*\w", block.not_run)
        assert all((pages.ROOT / name).exists() for name in named), f"{block}: {named} do not all exist"
    if block.language == "console":
        assert pages.sessions(block)


@pytest.mark.parametrize("claim", pages.ELSEWHERE, ids=lambda claim: f"{claim.page} {claim.containing}")
def test_the_test_that_is_named_exists_and_picks_the_block(claim: pages.Elsewhere) -> None:
    matching = [
        b for b in BLOCKS if b.page == claim.page and claim.containing in b.text and b.language in pages.COMMANDS
    ]
    assert len(matching) == 1, f"{len(matching)} blocks of {claim.page} contain {claim.containing!r}"
    file, _, name = claim.test.partition("::")
    source = (pages.ROOT / file).read_text("utf-8")
    (function,) = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert claim.containing in (ast.get_source_segment(source, function) or "")


@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: path.relative_to(pages.ROOT).as_posix())
def test_files_of_the_repository_that_a_page_names_exist(path: Path) -> None:
    named = set(_FILE.findall(path.read_text("utf-8")))
    assert not {name for name in named if not list(pages.ROOT.glob(name.rstrip("/")))}


def test_blocks_are_found_with_their_comments() -> None:
    text = "a\n\n<!-- not run: needs a GPU -->\n```sh\none\n```\n\n- b\n    ```console\n    $ two\n    2\n    ```\n"
    first, second = pages.blocks("x.md", text)
    assert (first.line, first.language, first.text, first.not_run) == (4, "sh", "one\n", "needs a GPU")
    assert (second.language, second.text, second.not_run) == ("console", "$ two\n2\n", None)
    assert pages.sessions(second) == [("two", ["2"])]


def test_a_command_goes_on_in_lines_with_a_prompt() -> None:
    (block,) = pages.blocks("x.md", "```console\n$ cat <<EOF\n> a\n> EOF\na\n$ true\n```\n")
    assert pages.sessions(block) == [("cat <<EOF\na\nEOF", ["a"]), ("true", [])]


def test_a_block_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="no end"):
        list(pages.blocks("x.md", "```sh\none\n"))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ([], ["anything"], True),
        (["a", "b"], ["a  ", "b"], True),
        (["a"], ["a", "b"], False),
        (["b"], ["a", "b"], False),
        (["a", "…"], ["a", "b", "c"], True),
        (["a", "…"], ["x", "a"], False),
        (["…", "c"], ["a", "b", "c"], True),
        (["…", "b"], ["a", "b", "c"], False),
        (["a", "…", "c", "…"], ["a", "b", "c", "d"], True),
        (["a", "…", "c", "…", "b"], ["a", "b", "c"], False),
        (["a", "…", "c"], ["a", "c", "b", "c"], True),
        (["a", "…", "a"], ["a"], False),
    ],
)
def test_shown_output_is_compared(shown: list[str], printed: list[str], same: bool) -> None:
    assert (pages.difference(shown, printed) is None) is same
