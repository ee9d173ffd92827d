"""The engine process dying while the API server lives, and what the API server does about it."""

import asyncio

from engine_standin.crashes import recorded
from engine_standin.frontend import Frontend
from engine_standin.logs import ENGINE

_WATCH_SECONDS = 5.0


async def watch(frontend: Frontend) -> None:
    """Return when the engine is dead and nobody asked for it; vLLM looks every five seconds."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        if frontend.engine.dead and not frontend.closed:
            return


async def die_after(frontend: Frontend, seconds: float) -> None:
    """Run out of GPU memory after so many seconds of service; 0 is never."""
    if seconds <= 0:
        return
    await asyncio.sleep(seconds)
    log, failure = frontend.log, recorded()["oom"]
    log.line("core.py:1509", "EngineCore encountered a fatal error.", process=ENGINE, level="ERROR")
    log.line(
        "core.py:1509",
        f"Traceback (most recent call last):\n{failure.kind}: {failure.message}",
        process=ENGINE,
        level="ERROR",
    )
    log.line(
        "core_client.py:817",
        "[shutdown] MPClient: engine core exited unexpectedly; starting cleanup",
        level="WARNING",
    )
    frontend.engine.kill()
