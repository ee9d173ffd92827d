"""`kubectl gemma` as a process, in a pipe, against the cluster of the tests."""

import os
import subprocess
import sys
from pathlib import Path

from tests.kubectl import Kubectl

ROOT = Path(__file__).parents[2]


def gemma_cli(kubectl: Kubectl, *arguments: str, code: int = 0) -> str:
    """What a command prints; fails unless it ends with `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "gemma_operator.cli", *arguments],
        env={**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == code, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
