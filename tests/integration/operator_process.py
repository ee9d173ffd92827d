"""The real operator as a process beside the control plane."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.kubectl import eventually

ROOT = Path(__file__).parents[2]
EXIT_SECONDS = 30


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Operator:
    """One operator process; use it as a context manager."""

    def __init__(
        self,
        *,
        kubeconfig: Path,
        folder: Path,
        config: dict[str, Any] | None = None,
        clock: Path | None = None,
        lease: str | None = None,
        pod: str = "",
        own_namespace: str = "gemma-system",
    ) -> None:
        """`clock`: a file with the seconds by which its wall clock is wrong.

        `lease`: of its own namespace; it works only while it holds it, as `pod`.
        """
        self._kubeconfig = kubeconfig
        self._folder = folder
        self._clock = clock
        self._port = free_port()
        self._lease = lease
        self._pod = pod
        self._own_namespace = own_namespace
        self._process: subprocess.Popen[bytes] | None = None
        self._config = folder / f"config-{self._port}.yaml"
        self._config.write_text(yaml.safe_dump(config or {}))
        self.log_file = folder / f"operator-{self._port}.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None:
            # The framework ignores what an event handler raises, so that nothing else would tell.
            assert "failed with an exception" not in self.log(), self.log_file

    def start(self) -> None:
        """Start it and return when it works."""
        module = "tests.integration.shifted_clock" if self._clock else "gemma_operator.controller"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", module, "--config", str(self._config)),
                    *("--host", "127.0.0.1", "--port", str(self._port)),
                    *(("--lease", self._lease) if self._lease else ()),
                ],
                env={
                    **os.environ,
                    "KUBECONFIG": str(self._kubeconfig),
                    "POD_NAMESPACE": self._own_namespace,
                    "POD_NAME": self._pod,
                    "CLOCK_FILE": str(self._clock or ""),
                },
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            eventually(self._is_ready, seconds=60, what="the operator is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None

    def stop(self, *, hard: bool = False) -> None:
        """End it: by SIGTERM, or by SIGKILL as a lost node would."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
        try:
            self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the operator ignored SIGTERM for {EXIT_SECONDS} s") from None
        finally:
            self._process = None

    def exit_code(self) -> int | None:
        """Exit code of a process that ended by itself, `None` while it runs."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int:
        """Process id, for measurements."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Everything that it logged."""
        return self.log_file.read_text(errors="replace")

    def log_lines(self) -> list[dict[str, Any]]:
        """Log lines as JSON; fails when one is not."""
        return [json.loads(line) for line in self.log().splitlines() if line.strip()]

    @property
    def url(self) -> str:
        """Address of its HTTP server."""
        return f"http://127.0.0.1:{self._port}"

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of its HTTP server."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def _is_ready(self) -> bool:
        if (code := self.exit_code()) is not None:
            raise AssertionError(f"the operator ended with code {code}:\n{self.log()[-4000:]}")
        return self.get("/readyz")[0] == 200
