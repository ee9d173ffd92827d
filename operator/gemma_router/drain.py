"""The end of a router pod: what it does between SIGTERM and the end of the process.

uvicorn closes its listener and every idle connection at SIGTERM; a request that a client sends on one of them in that
very moment is lost without an answer. So the signal is passed on some seconds later, and until then every answer
tells its client to open a new connection, which goes to another router pod.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)

LINGER_SECONDS = 5.0
"""Longer than most clients pause between two requests of a load; fits into the margin of the grace period."""
ANSWER_SECONDS = 3.0
"""Before the end of the drain, requests that still wait get their 503."""


class Drain:
    """Takes over SIGTERM. `give_up` is called shortly before open requests would be cut."""

    def __init__(self, *, seconds: float, give_up: Callable[[], None]) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self.stopping = False

    def install(self) -> None:
        """Put this before the handler of the server, which must be in place: it is in a start-up hook."""
        loop, server = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

        def pass_on() -> None:
            if callable(server):
                server(signal.SIGTERM, None)

        def handle(signum: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._begin, pass_on)

        if callable(server):
            signal.signal(signal.SIGTERM, handle)

    def _begin(self, pass_on: Callable[[], None]) -> None:
        if self.stopping:
            return
        self.stopping = True
        log.info("told to stop: requests that are here go on for up to %g s", self._seconds)
        loop = asyncio.get_running_loop()
        loop.call_later(LINGER_SECONDS, pass_on)
        loop.call_later(LINGER_SECONDS + max(0.0, self._seconds - ANSWER_SECONDS), self._give_up)
