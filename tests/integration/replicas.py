"""Every number of replicas that Deployments of a namespace ever ask for."""

import subprocess
import threading
from types import TracebackType
from typing import Self

from tests.kubectl import Kubectl

_LINE = '{.metadata.name} {.spec.replicas}{"\\n"}'


class Replicas:
    """Watches the Deployments of a namespace; use it as a context manager."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl, self._namespace = kubectl, namespace
        self._seen: list[tuple[str, int]] = []
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._process = self._kubectl.start(
            "get", "deployments", "-n", self._namespace, "--watch", "-o", f"jsonpath={_LINE}"
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
        self._thread.join()

    def of(self, deployment: str) -> list[int]:
        """Replicas asked for in the first pool of a GemmaDeployment, in order, each change once."""
        numbers = [number for name, number in list(self._seen) if name == f"{deployment}-0"]
        return [number for index, number in enumerate(numbers) if not index or number != numbers[index - 1]]

    def most_together(self, *deployments: str) -> int:
        """The most that was ever asked for by several together."""
        now = dict.fromkeys([f"{each}-0" for each in deployments], 0)
        most = 0
        for name, number in list(self._seen):
            if name in now:
                now[name] = number
                most = max(most, sum(now.values()))
        return most

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                name, _, number = line.strip().partition(" ")
                assert number.isdecimal(), f"the watch ended: {line}"
                self._seen.append((name, int(number)))
