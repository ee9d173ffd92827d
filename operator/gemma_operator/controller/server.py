"""The operator's own HTTP server: /healthz, /readyz, /metrics."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gemma_operator.cluster.telemetry import REGISTRY

Check = Callable[[], str]
"""Empty when all is well, otherwise what is wrong."""


async def serve(*, host: str, port: int, healthy: Check, ready: Check) -> web.AppRunner:
    """Start the server; the caller cleans the runner up."""

    def answer(check: Check) -> Callable[[web.Request], "web.Response"]:
        def respond(_: web.Request) -> web.Response:
            problem = check()
            return web.Response(text=(problem or "ok") + "\n", status=503 if problem else 200)

        return respond

    async def healthz(request: web.Request) -> web.Response:
        return answer(healthy)(request)

    async def readyz(request: web.Request) -> web.Response:
        return answer(ready)(request)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
