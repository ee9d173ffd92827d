"""Log lines in the format of vLLM: `(APIServer pid=1) INFO 11-25 03:32:13 [api_server.py:83] text`."""

import os
import sys
import time
from typing import TextIO

API = "APIServer"
ENGINE = "EngineCore"


class EngineLog:
    """Writes vLLM's log lines to a stream, standard output unless told otherwise."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def _write(self, text: str) -> None:
        stream = self._stream or sys.stdout
        stream.write(text + "\n")
        stream.flush()

    @staticmethod
    def _pid(process: str) -> int:
        # The real engine is a child of the API server; one process plays both here.
        return os.getpid() if process == API else os.getpid() + 60

    def line(self, where: str, text: str, *, process: str = API, level: str = "INFO") -> None:
        """Write one message; further lines of the same message get the same prefix."""
        stamp = time.strftime("%m-%d %H:%M:%S")
        prefix = f"({process} pid={self._pid(process)}) {level} {stamp} [{where}] "
        for part in text.split("\n"):
            self._write(prefix + part)

    def bare(self, text: str, *, process: str | None = None) -> None:
        """Write lines without level and time, as a traceback that Python prints itself."""
        prefix = f"({process} pid={self._pid(process)}) " if process else ""
        for part in text.split("\n"):
            self._write(prefix + part)
