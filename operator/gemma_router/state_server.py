"""The internal port: counts for the operator as JSON, and metrics. No key: it is in no Service and no Ingress.

A NetworkPolicy lets only the operator and the monitoring reach it. It tells names and numbers, never keys or texts.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

STATE_PATH = "/gemma/v1/state"
METRICS_PATH = "/metrics"


async def serve(*, port: int, state: Callable[[], dict[str, object]], metrics: Callable[[], bytes]) -> web.AppRunner:
    """Start the server on all addresses and return its runner. Raises `OSError` when the port is taken."""

    async def get_state(_: web.Request) -> web.Response:
        return web.json_response(state())

    async def get_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get(STATE_PATH, get_state)
    app.router.add_get(METRICS_PATH, get_metrics)
    # The runner must not take over SIGTERM: draining is LiteLLM's.
    runner = web.AppRunner(app, handle_signals=False, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
