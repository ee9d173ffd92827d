"""Completion, as kubectl asks for it and as shells do."""

import os
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
from gemma_operator.cli import completion
from gemma_operator.cli.main import app


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What completion leaves in the environment goes with the test."""
    for name in ("_KUBECTL_GEMMA_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
        monkeypatch.setenv(name, "")


def complete(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[list[str], str]:
    """Candidates and directive for words as kubectl passes them."""
    with pytest.raises(SystemExit) as done:
        app(["__complete", *words], prog_name="kubectl-gemma")
    assert not done.value.code
    *candidates, directive = capsys.readouterr().out.splitlines()
    return candidates, directive


@pytest.mark.parametrize(
    ("words", "candidates"),
    [
        (("st",), ["status"]),
        (("pl",), ["plan"]),
        (("status", "-o", ""), ["table", "json", "yaml"]),
        (("status", "--w"), ["--watch"]),
        (("status", "--he"), ["--help"]),
        (("status", "--watch", "--ou"), ["--output"]),
    ],
)
def test_kubectl_is_given_candidates(capsys, words, candidates):
    assert complete(capsys, *words) == (candidates, ":4")


def test_every_command_is_a_candidate(capsys):
    candidates, _ = complete(capsys, "")
    assert {"plan", "explain", "status", "chat", "doctor", "images", "simulate"} <= set(candidates)


@pytest.mark.parametrize("words", [("plan", "-f", ""), ("explain", "--nodes", "du")])
def test_where_a_file_is_wanted_the_shell_completes_files(capsys, words):
    assert complete(capsys, *words) == ([], ":0")


def test_every_option_that_takes_a_file_is_known():
    """The commands' own options: one that takes a path must leave completion to the shell."""
    hints = [
        (kind, extra)
        for command in app.registered_commands
        if command.callback is not None
        for hint in get_type_hints(command.callback, include_extras=True).values()
        if get_origin(hint) is Annotated
        for kind, *extras in [get_args(hint)]
        for extra in extras
    ]
    # Typer keeps the first name of an option as its default until it builds the command.
    paths = {
        name
        for kind, extra in hints
        if Path in (kind, *get_args(kind))
        for name in (extra.default, *(extra.param_decls or ()))
        if str(name).startswith("-")
    }
    assert {"-f", "--filename", "--nodes", "--config"} <= paths
    assert paths <= set(completion._TAKE_FILES)


def test_shells_get_typers_own_script(capsys):
    os.environ["_KUBECTL_GEMMA_COMPLETE"] = "source_bash"
    with pytest.raises(SystemExit) as done:
        app([], prog_name="kubectl-gemma")
    assert not done.value.code
    assert "complete" in capsys.readouterr().out
