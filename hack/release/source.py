"""The tree that a release is made from: the files that git tracks, at the time of the commit."""

import shutil
from pathlib import Path

from localk8s import paths
from localk8s.console import LocalError, output


def commit() -> str:
    """The commit that is checked out."""
    return _git("rev-parse", "HEAD").strip()


def epoch() -> int:
    """Seconds since 1970 of that commit: every file of a release carries this time, so that it can be made again."""
    return int(_git("show", "--no-patch", "--format=%ct", "HEAD"))


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
    for name in _git("ls-files", "-z").split("\0"):
        file = paths.REPOSITORY / name
        if not name or not file.is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target / name)


def _git(*arguments: str) -> str:
    return output(["git", "-C", paths.REPOSITORY, *arguments])
