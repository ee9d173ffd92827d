"""Make the virtual environment that holds the router's LiteLLM, from the hash-locked requirements.

Run it by hand or import `ensure`. The environment lies outside the repository, in the cache of built things,
and is made again only when the lock or the Python version changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "requirements" / "litellm.txt"


def cache_dir() -> Path:
    """Return the directory of built things: `GEMMA_CACHE`, or `~/.cache/gemma4-stack`."""
    return Path(os.environ.get("GEMMA_CACHE") or Path.home() / ".cache" / "gemma4-stack")


def ensure(*, lock: Path = LOCK, target: Path | None = None) -> Path:
    """Return the `python` of an environment with exactly the locked packages, making it when needed.

    Raises `subprocess.CalledProcessError` when pip fails; a half-made environment is never taken as done.
    """
    target = target or cache_dir() / "litellm-venv"
    target.parent.mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest() + f" python{sys.version_info[0]}.{sys.version_info[1]}"
    stamp, python = target / ".lock-sha256", target / "bin" / "python"
    with target.with_name(target.name + ".mutex").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == wanted and python.exists():
            return python
        started = time.monotonic()
        print(f"litellm venv: installing {lock.name} into {target} (about 800 MB, a minute or two)", flush=True)
        shutil.rmtree(target, ignore_errors=True)
        # Not by `import venv`: a script of that name lies beside this one.
        subprocess.run([sys.executable, "-I", "-m", "venv", target], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--no-input", "--require-hashes", "-r", lock], check=True
        )
        stamp.write_text(wanted)
        print(f"litellm venv: ready after {time.monotonic() - started:.0f} s", flush=True)
    return python


if __name__ == "__main__":
    print(ensure())
