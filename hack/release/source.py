"""The tree that a release is made from: the files that git tracks, at the time of the commit.

A tree without git, as somebody has who unpacked the sources, is taken as it stands.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from localk8s import paths
from localk8s.console import LocalError, output

_LEFT = {".venv", "build", "dist", "__pycache__", ".hypothesis"}
"""Folders that tools make."""


def commit() -> str:
    """The commit that is checked out."""
    return _git("rev-parse", "HEAD").strip()


def epoch() -> int:
    """Seconds since 1970 of that commit: every file of a release carries this time, so that it can be made again.

    Without git, `SOURCE_DATE_EPOCH`, or when the project's definition was last written.
    """
    if _has_git():
        return int(_git("show", "--no-patch", "--format=%ct", "HEAD"))
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given) if given else int((paths.REPOSITORY / "pyproject.toml").stat().st_mtime)


def need_clean() -> None:
    """Raise `LocalError` where tracked files differ from the commit or new ones are not in it."""
    changed = _git("status", "--porcelain").splitlines()
    if changed:
        shown = ", ".join(line[3:] for line in changed[:5])
        raise LocalError(
            f"{len(changed)} files differ from the commit ({shown}): commit them, or try out with --uncommitted"
        )


def copy(target: Path) -> None:
    """Copy the tracked files as they stand, without what tools left beside them."""
    for file in _files():
        place = target / file.relative_to(paths.REPOSITORY)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)


def _files() -> Iterator[Path]:
    if _has_git():
        named = (paths.REPOSITORY / name for name in _git("ls-files", "-z").split("\0") if name)
        yield from (file for file in named if file.is_file())
        return
    for folder, folders, files in os.walk(paths.REPOSITORY):
        folders[:] = [name for name in folders if name not in _LEFT and not name.endswith((".egg-info", "_cache"))]
        yield from (Path(folder) / name for name in files if not name.endswith(".pyc"))


def _has_git() -> bool:
    return (paths.REPOSITORY / ".git").exists()


def _git(*arguments: str) -> str:
    # A checkout may belong to somebody else than who builds it, as in containers.
    return output(["git", "-c", "safe.directory=*", "-C", paths.REPOSITORY, *arguments])
