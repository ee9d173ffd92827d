"""Where built and generated things are kept, outside the repository."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
VERSIONS = REPOSITORY / "hack" / "versions.toml"


def cache(*parts: str) -> Path:
    """Return a path below `$GEMMA_CACHE` (default `~/.cache/gemma4-stack`); its parent folder exists afterwards."""
    root = Path(os.environ.get("GEMMA_CACHE") or Path.home() / ".cache" / "gemma4-stack")
    path = root.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def folder(*parts: str) -> Path:
    """Return a folder below the cache, made if it is missing."""
    path = cache(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is removed at the end; in the cache, since /tmp may be small or mounted `nodev`."""
    made = Path(tempfile.mkdtemp(dir=folder("scratch")))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def kubeconfig(name: str) -> Path:
    """Return the file that the kubeconfig of cluster `name` is kept in."""
    return folder("kubeconfigs") / name


def audit_log(name: str) -> Path:
    """Return the audit log of the API server of cluster `name`, readable on the host."""
    return folder("audit", name) / "audit.log"
