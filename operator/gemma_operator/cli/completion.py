"""Completion of `kubectl gemma …`: what a program named `kubectl_complete-gemma` tells kubectl.

kubectl gives it the words after `gemma`, the last one unfinished, and reads one candidate a line and then a directive
(kubectl, "Extend kubectl with plugins"). The candidates are those that Typer gives to bash.
"""

import asyncio
import contextlib
import io
import os
import shlex
from collections.abc import Callable, Sequence
from typing import Final

import typer

from gemma_operator.cli.session import session

PROGRAM: Final = "kubectl-gemma"
_NO_FILES: Final = ":4"
"""Cobra's directive: no file names where there is no candidate."""
_FILES: Final = ":0"
_PATIENCE_SECONDS: Final = 2.0
"""A shell that hangs is worse than one without candidates."""
_TAKE_FILES: Final = ("-f", "--file", "--filename", "--nodes", "--config", "--trace", "--report", "--kubeconfig")


def respond(words: Sequence[str], *, run: Callable[..., object]) -> None:
    """Print the candidates for the words; `run` is the command line."""
    words = words or [""]
    before = words[-2] if len(words) > 1 else ""
    if before in _TAKE_FILES:
        print(_FILES)
        return
    os.environ["_KUBECTL_GEMMA_COMPLETE"] = "complete_bash"
    os.environ["COMP_WORDS"] = shlex.join([PROGRAM, *words[:-1], *filter(None, words[-1:])])
    os.environ["COMP_CWORD"] = str(len(words))
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        run(prog_name=PROGRAM)
    # Typer prints an empty line where it knows of nothing, which kubectl would take for a candidate.
    print(*filter(None, told.getvalue().splitlines()), _NO_FILES, sep="\n")


def deployment_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """GemmaDeployments of the namespace that the command line names so far; none where they cannot be had."""
    given = ctx.params
    if given.get("nodes") or given.get("filename"):
        return []
    try:
        found = asyncio.run(_names(given.get("kubeconfig"), given.get("context"), given.get("namespace")))
    except Exception:
        # Whatever went wrong: a shell has no place for it.
        return []
    taken = given.get("deployments") or ()
    return [name for name in found if name.startswith(incomplete) and name not in taken]


async def _names(kubeconfig: str | None, context: str | None, namespace: str | None) -> list[str]:
    async with (
        asyncio.timeout(_PATIENCE_SECONDS),
        session(kubeconfig=kubeconfig, context=context, namespace=namespace) as here,
    ):
        return [obj["metadata"]["name"] for obj in await here.deployments(here.namespace)]
