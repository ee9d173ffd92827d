"""Completion of `kubectl gemma …`: what a program named `kubectl_complete-gemma` tells kubectl.

kubectl gives it the words after `gemma`, the last one unfinished, and reads one candidate a line and then a directive
(kubectl, "Extend kubectl with plugins"). The candidates are those that Typer gives to bash.
"""

import contextlib
import os
import shlex
from collections.abc import Callable, Sequence
from typing import Final

PROGRAM: Final = "kubectl-gemma"
_NO_FILES: Final = ":4"
"""Cobra's directive: no file names where there is no candidate."""
_FILES: Final = ":0"
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
    with contextlib.suppress(SystemExit):
        run(prog_name=PROGRAM)
    print(_NO_FILES)
