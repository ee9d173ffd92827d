#!/usr/bin/env python3
"""Make the Python environment of the project: `python3 hack/python_env.py .venv`.

Runs on the system's Python with nothing installed.
"""

import shutil
import subprocess
import sys
from os import environ, geteuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(target: str) -> int:
    """Create the environment from the lock, or say which one thing to install."""
    if sys.version_info < (3, 11):  # noqa: UP036  (runs before anything could check)
        print(f"error: Python 3.11 or newer is needed; this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    venv = Path(target)
    if not _has_venv_module() and not _install_venv_module():
        print("error: this Python has no venv module: apt-get install python3-venv", file=sys.stderr)
        return 1
    run = [sys.executable, "-m", "venv", "--clear", str(venv)]
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run(run, check=True)
        subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements/dev.txt")], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)
    except subprocess.CalledProcessError as error:
        print(f"error: {' '.join(map(str, error.cmd))} failed; is the package index reachable?", file=sys.stderr)
        return 1
    return 0


def _has_venv_module() -> bool:
    code = "import venv, ensurepip"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def _install_venv_module() -> bool:
    if geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    print("==> apt-get install python3-venv")
    quiet = {**environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "python3-venv"]):
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env=quiet)
    return _has_venv_module()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".venv")))
