"""Progress for people, and commands whose output is kept in a log."""

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from localk8s import paths

HEARTBEAT_SECONDS = 30
TAIL_LINES = 25


class LocalError(Exception):
    """Something that a person must change; the message says what and how."""


class CommandFailed(LocalError):
    """A command ended with an error; the message holds the end of its output."""


def say(text: str) -> None:
    """Print one line at once, on stderr: stdout is for results that programs read."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(title: str, *, seconds: float = 0) -> Iterator[None]:
    """Announce a step with its usual duration, show that it is alive, and print what it took."""
    usual = f" (usually about {seconds:.0f} s)" if seconds >= 5 else ""
    say(f"==> {title}{usual}")
    start = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"    … {title}: {time.monotonic() - start:.0f} s so far")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        say(f"    failed after {time.monotonic() - start:.1f} s: {title}")
        raise
    finally:
        done.set()
        thread.join()
    say(f"    done in {time.monotonic() - start:.1f} s")


def run(
    command: Sequence[str | Path],
    *,
    log: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> None:
    """Run a command with its output appended to `logs/<log>.log` in the cache.

    Raises CommandFailed with the last lines of the output and the log's path.
    """
    path = cache_log(log)
    with path.open("ab") as out:
        start = out.tell()
        out.write(f"$ {' '.join(map(str, command))}\n".encode())
        out.flush()
        result = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode:
        with path.open("rb") as text:
            text.seek(start)
            tail = text.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        raise CommandFailed(
            f"`{' '.join(map(str, command))}` ended with {result.returncode}:\n  "
            + "\n  ".join(tail)
            + f"\nWhole output: {path}"
        )


def output(
    command: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """Run a command and return its stdout. Raises CommandFailed with its stderr, also after `timeout` seconds."""
    line = " ".join(map(str, command))
    try:
        result = subprocess.run(
            [str(part) for part in command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"`{line}`: {error.strerror}: {error.filename}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"`{line}` gave no answer within {timeout:.0f} s") from error
    if result.returncode:
        raise CommandFailed(
            f"`{line}` ended with {result.returncode}: {result.stderr.strip() or result.stdout.strip()}"
        )
    return result.stdout


def succeeds(command: Sequence[str | Path], *, timeout: float = 60) -> bool:
    """Return whether a command ends with 0 within `timeout` seconds."""
    try:
        output(command, timeout=timeout)
    except CommandFailed:
        return False
    return True


def cache_log(name: str) -> Path:
    """Return the log file of that name in the cache."""
    return paths.folder("logs") / f"{name}.log"


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a lock between processes, so that two callers do not build the same thing at once."""
    with (paths.folder("locks") / name).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"    waiting for another process that works on {name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def need_root(purpose: str) -> None:
    """Raise LocalError unless this process is root."""
    if os.geteuid() != 0:
        raise LocalError(f"{purpose} needs root: run the same command with sudo, or as root.")
