"""Installs hash-locked packages for another Python into a folder, on the host, where the network is."""

import json
import platform
import re
import shutil
import sys
from pathlib import Path

from localk8s import paths
from localk8s.console import LocalError, output, run, succeeds

GLIBC_NEWEST, GLIBC_OLDEST = 36, 17
# Evaluated by pip's own copy of `packaging`, for the Python of the image instead of the one that runs pip.
_MARKERS = """
import json, sys
from pip._vendor.packaging.markers import Marker, default_environment
full, texts = json.load(sys.stdin)
environment = {**default_environment(), "python_full_version": full, "python_version": ".".join(full.split(".")[:2])}
print(json.dumps([Marker(text).evaluate(environment) for text in texts]))
"""


def python() -> Path:
    """Return an interpreter that has pip: the repository's environment, or the one that runs this."""
    for candidate in (paths.REPOSITORY / ".venv" / "bin" / "python", Path(sys.executable)):
        if candidate.exists() and succeeds([candidate, "-m", "pip", "--version"]):
            return candidate
    raise LocalError("No Python with pip: run `make venv` first, or install python3-pip.")


def requirements(text: str) -> list[tuple[str, str | None]]:
    """Split a locked file into (requirement with its hashes, marker); comments go."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found = []
    for line in joined.splitlines():
        line = line.split(" #")[0].strip()
        if not line or line.startswith(("#", "-")):
            continue
        requirement, *hashes = re.split(r"\s+(?=--hash=)", line)
        name, _, marker = requirement.partition(" ; ")
        found.append((" ".join([name.strip(), *hashes]), marker.strip() or None))
    return found


def for_python(text: str, version: str) -> str:
    """Return the locked file with only what the Python of that full version needs, without markers."""
    rows = requirements(text)
    markers = sorted({marker for _, marker in rows if marker})
    answers = json.loads(output([python(), "-c", _MARKERS], stdin=json.dumps([version, markers])))
    holds = dict(zip(markers, answers, strict=True))
    return "".join(f"{row}\n" for row, marker in rows if marker is None or holds[marker])


def platforms() -> list[str]:
    """Return the wheel platforms that run on Debian 12 and newer on this processor, best first."""
    machine = platform.machine()
    new = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_NEWEST, GLIBC_OLDEST - 1, -1)]
    return [*new, f"manylinux2014_{machine}", f"linux_{machine}"]


def install(text: str, target: Path, *, version: str, log: str) -> None:
    """Install what `for_python` returned into a folder, from wheels for that Python alone."""
    wanted = target.with_suffix(".txt")
    wanted.write_text(text)
    flags = [
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--no-compile",
        f"--python-version={minor(version)}",
    ]
    flags += [f"--platform={platform}" for platform in platforms()]
    run([python(), "-m", "pip", "install", *flags, "--target", target, "-r", wanted], log=log)
    _drop_scripts(target)


def minor(version: str) -> str:
    """Return `3.13` of `3.13.2`."""
    return ".".join(version.split(".")[:2])


def install_project(source: Path, target: Path, *, log: str) -> None:
    """Build a project of this repository as a wheel and install it, without its dependencies, into a folder."""
    wheels = target.with_name(target.name + "-wheels")
    isolation = [] if not succeeds([python(), "-c", "import setuptools, wheel"]) else ["--no-build-isolation"]
    copy = target.with_name(target.name + "-source")
    # setuptools writes build/ and *.egg-info beside the sources, and would take stale files from there.
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", ".*_cache", "node_modules")
    shutil.copytree(source, copy, ignore=ignored)
    run([python(), "-m", "pip", "wheel", "--no-deps", *isolation, "-w", wheels, copy], log=log)
    flags: list[str | Path] = ["--no-deps", "--no-index", "--no-compile", "--target", target]
    run([python(), "-m", "pip", "install", *flags, *sorted(wheels.glob("*.whl"))], log=log)
    _drop_scripts(target)


def console_script(target: str) -> str:
    """Return the text of a console script that calls `module:function`, for whatever python3 the image has."""
    module, _, function = target.partition(":")
    return (
        f"#!/usr/bin/env python3\nimport sys\n\nfrom {module} import {function}\n\n"
        f'if __name__ == "__main__":\n    sys.exit({function}())\n'
    )


def _drop_scripts(folder: Path) -> None:
    """Remove pip's scripts: they name the interpreter of the host."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
