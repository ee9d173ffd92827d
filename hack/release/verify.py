"""Checks what was built: as a person would who downloads it."""

import hashlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import yaml
from localk8s import binaries, paths
from localk8s.console import LocalError, output

CHECKSUMS: Final = "checksums.txt"


def checksums(folder: Path) -> str:
    """One line per file, as `sha256sum --check` reads them."""
    files = sorted(file for file in folder.iterdir() if file.name != CHECKSUMS)
    return "".join(f"{_digest(file)}  {file.name}\n" for file in files)


def check_checksums(folder: Path) -> None:
    """Raise `LocalError` for a file that is missing, was changed, or is not listed."""
    rows = [line.split("  ", 1) for line in (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()]
    listed = {name: digest for digest, name in rows}
    for name, digest in listed.items():
        if not (folder / name).exists() or _digest(folder / name) != digest:
            raise LocalError(f"{name} is not what {CHECKSUMS} says: build it again")
    if more := {file.name for file in folder.iterdir()} - listed.keys() - {CHECKSUMS}:
        raise LocalError(f"{CHECKSUMS} does not list {', '.join(sorted(more))}")


def check_wheel(wheel: Path, *, version: str, scratch: Path) -> None:
    """Install a wheel with its locked requirements into a fresh environment, and run its commands."""
    environment = scratch / "environment"
    output([sys.executable, "-m", "venv", environment])
    pip: list[str | Path] = [environment / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    output([*pip, "install", "--require-hashes", "-r", paths.REPOSITORY / "requirements" / "runtime.txt"])
    output([*pip, "install", "--no-deps", "--no-index", wheel])
    output([*pip, "check"])
    kubectl_gemma = environment / "bin" / "kubectl-gemma"
    if "Usage: " not in output([kubectl_gemma, "--help"]):
        raise LocalError(f"kubectl-gemma of {wheel.name} prints no help")
    if "plan" not in output([environment / "bin" / "kubectl_complete-gemma", "pl"]):
        raise LocalError(f"kubectl_complete-gemma of {wheel.name} does not complete")
    # The catalog and the templates are data of the package: a plan needs both.
    output([kubectl_gemma, "models", "-o", "json"])
    said = output([environment / "bin" / "python", "-c", "import gemma_operator; print(gemma_operator.__version__)"])
    if said.strip() != version:
        raise LocalError(f"{wheel.name} is of version {said.strip()}, not {version}")


def check_charts(packages: Iterable[Path], *, version: str) -> None:
    """Let Helm check chart packages, and compare what they say of themselves."""
    helm = binaries.path("helm")
    for package in packages:
        done = subprocess.run([helm, "lint", "--strict", package], capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalError(f"helm lint {package.name}:\n{done.stdout}{done.stderr}")
        chart = yaml.safe_load(output([helm, "show", "chart", package]))
        if (chart["version"], chart["appVersion"]) != (version, version):
            raise LocalError(f"{package.name} says version {chart['version']}, appVersion {chart['appVersion']}")
        output([helm, "template", "release", package])


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
