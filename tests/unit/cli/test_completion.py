"""Completion, as kubectl asks for it and as shells do."""

import asyncio
import importlib
import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from gemma_operator.cli import completion, session
from gemma_operator.cli.main import app

from tests.unit.cli.test_status import Api, gdep

ROOT = Path(__file__).parents[3]
Complete = Callable[..., tuple[list[str], str]]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the wheel installs as `kubectl_complete-gemma`."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["kubectl_complete-gemma"].partition(":")

    def call(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["kubectl_complete-gemma", *words])
        getattr(importlib.import_module(module), name)()

    return call


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What completion leaves in the environment goes with the test."""
    for name in ("_KUBECTL_GEMMA_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
        monkeypatch.setenv(name, "")


@pytest.fixture
def complete(capsys: pytest.CaptureFixture[str], program: Callable[..., None]) -> Complete:
    """Candidates and directive for words as kubectl passes them."""

    def ask(*words: str) -> tuple[list[str], str]:
        program(*words)
        output = capsys.readouterr()
        assert output.err == "", "a shell has no place for it"
        *candidates, directive = output.out.splitlines()
        return candidates, directive

    return ask


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
def test_kubectl_is_given_candidates(complete, words, candidates):
    assert complete(*words) == (candidates, ":4")


def test_every_command_is_a_candidate(complete):
    candidates, _ = complete("")
    assert {"plan", "explain", "status", "chat", "doctor", "images", "simulate"} <= set(candidates)


@pytest.mark.parametrize("words", [("plan", "-f", ""), ("explain", "--nodes", "du")])
def test_where_a_file_is_wanted_the_shell_completes_files(complete, words):
    assert complete(*words) == ([], ":0")


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


@pytest.fixture
def deployments(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """How the API server was asked for GemmaDeployments; there are `chat` and `big` in namespace `cli`."""
    asked: list[dict[str, Any]] = []

    async def connect(**options: Any) -> Api:
        await asyncio.sleep(0)
        asked.append(options)
        return Api(gdep("chat"), gdep("big"))

    monkeypatch.setattr(session, "connect", connect)
    monkeypatch.setattr(session, "current_namespace", lambda *_: "cli")
    return asked


@pytest.mark.parametrize(
    ("words", "candidates"),
    [
        (("status", ""), ["big", "chat"]),
        (("explain", "c"), ["chat"]),
        (("chat", "b"), ["big"]),
        (("upgrade", "chat", ""), ["big"]),
        (("export", ""), ["big", "chat"]),
        (("status", "-n", "elsewhere", ""), []),
        (("explain", "--nodes", "dump.json", ""), []),
    ],
)
def test_names_of_deployments(complete, deployments, words, candidates):
    assert complete(*words) == (candidates, ":4")


def test_names_are_those_of_the_cluster_that_the_line_names(complete, deployments):
    complete("status", "--context", "other", "--kubeconfig", "/k", "")
    assert deployments == [{"kubeconfig": "/k", "context": "other", "agent": "kubectl-gemma"}]


def test_no_names_where_there_is_no_cluster(complete, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert complete("status", "") == ([], ":4")


def test_no_names_from_an_api_server_that_does_not_answer(complete, deployments, monkeypatch):
    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(3600)

    monkeypatch.setattr(Api, "list", never)
    monkeypatch.setattr(completion, "_PATIENCE_SECONDS", 0.05)
    assert complete("status", "") == ([], ":4")


def test_a_version_on_the_line_is_not_printed(complete):
    candidates, _ = complete("--version", "st")
    assert candidates == ["status"]
