"""Background processes that outlive this one, known by pid files in a folder of their own."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from localk8s.console import TAIL_LINES, LocalError

STOP_SECONDS = 15
# Below the usual range of ephemeral ports: a client that reconnects to a port of that range while nothing
# listens there can be given the same port as its own, connects to itself and keeps the server from starting.
PORTS = range(20_000, 32_000)
# By pid, for as long as this process lives: a Popen that is collected before its process ends warns, and nobody
# would reap the process.
_STARTED: dict[int, subprocess.Popen[bytes]] = {}


def free_ports(count: int) -> list[int]:
    """Return that many different ports on 127.0.0.1 that nothing listens on."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise LocalError(f"Fewer than {count} free ports between {PORTS.start} and {PORTS.stop} on 127.0.0.1.")


def wait_until(condition: Callable[[], bool], *, what: str, seconds: float, interval: float = 0.1) -> None:
    """Call `condition` until it is true. Raises LocalError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LocalError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(interval)  # between two looks, until the deadline


class Processes:
    """The processes of one folder: a log and a pid file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, name: str, command: Sequence[str | Path]) -> None:
        """Start a process in a session of its own, so that a Ctrl-C here does not end it."""
        (self._folder / "logs").mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        _STARTED[process.pid] = process
        self._pid_file(name).write_text(str(process.pid))

    def log(self, name: str) -> Path:
        """Return the log of a process."""
        return self._folder / "logs" / f"{name}.log"

    def tail(self, name: str) -> str:
        """Return the last lines of a log."""
        if not self.log(name).exists():
            return ""
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-TAIL_LINES:])

    def is_running(self, name: str) -> bool:
        """Return whether the process that the pid file names lives and is still ours."""
        return self._pid(name) is not None

    def names(self) -> list[str]:
        """Return the names that have pid files."""
        return sorted(file.stem for file in self._folder.glob("*.pid"))

    def stop(self, name: str, *, grace: float = STOP_SECONDS) -> None:
        """End a process: SIGTERM, then SIGKILL after `grace` seconds. Nothing happens when it is gone already."""
        pid = self._pid(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                try:
                    wait_until(lambda: not self.is_running(name), what=f"the end of {name}", seconds=grace)
                except LocalError:
                    os.kill(pid, signal.SIGKILL)
                    wait_until(lambda: not self.is_running(name), what=f"the end of {name}", seconds=STOP_SECONDS)
        self._pid_file(name).unlink(missing_ok=True)

    def _pid_file(self, name: str) -> Path:
        return self._folder / f"{name}.pid"

    def _pid(self, name: str) -> int | None:
        """Return the pid of a live process of ours; a reused pid shows another folder and does not count."""
        try:
            pid = int(self._pid_file(name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        if process := _STARTED.get(pid):
            process.poll()
        try:
            same_folder = os.path.samefile(f"/proc/{pid}/cwd", self._folder)
            dead = "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return None
        return pid if same_folder and not dead else None
