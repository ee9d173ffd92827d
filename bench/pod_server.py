"""Faked engine and router pods on loopback, in a process of their own.

`python -m bench.pod_server EPOCH ENGINES ROUTERS`.

What an engine counted follows from the time since EPOCH (seconds of the monotonic clock) alone.
"""

import asyncio
import re
import sys
import time
from pathlib import Path

from aiohttp import web
from gemma_operator.api import names
from gemma_router.proxy_config import STATE_PORT

_PAGE = Path(__file__).parents[1] / "tests" / "unit" / "cluster" / "data" / "vllm-0.32.0-metrics.txt"
BATCH, OUTPUT, PROMPT = 40, 200, 500
STEP_BASE, STEP_PER_SEQUENCE, STEP_PER_PROMPT_TOKEN = 0.016, 0.00018, 0.0001
_WAITING = "vllm:num_requests_waiting"


def engine_address(index: int) -> str:
    """Address of the pod with this number."""
    return f"127.80.{index // 250}.{index % 250 + 1}"


def router_address(index: int) -> str:
    """Address of the router pod with this number."""
    return f"127.81.{index // 250}.{index % 250 + 1}"


def counters(seconds: float) -> dict[str, int]:
    """What an engine with `BATCH` sequences counted in so much time."""
    step = STEP_BASE + STEP_PER_SEQUENCE * BATCH
    per_request = OUTPUT * step / BATCH + STEP_PER_PROMPT_TOKEN * PROMPT
    done = seconds / per_request
    return {
        "vllm:request_success_total": int(done),
        "vllm:generation_tokens_total": int(done * OUTPUT),
        "vllm:prompt_tokens_total": int(done * PROMPT),
        "vllm:iteration_tokens_total_count": int(done * OUTPUT / BATCH),
    }


class Pods:
    """Answers for all pods; `waiting` requests in each engine, and no more than that changes with the mode."""

    def __init__(self, epoch: float) -> None:
        self._epoch = epoch
        self._waiting = 0
        self._page = _PAGE.read_text()

    async def metrics(self, request: web.Request) -> web.Response:
        """A whole page of vLLM's metrics."""
        values = counters(time.monotonic() - self._epoch)
        values |= {"vllm:num_requests_running": BATCH, _WAITING: self._waiting}

        def line(match: re.Match[str]) -> str:
            name, labels = match.group(1), match.group(2)
            value = 0 if 'finished_reason="' in labels and "stop" not in labels else values.pop(name, None)
            return match.group(0) if value is None else f"{name}{labels} {value}"

        return web.Response(text=re.sub(r"(?m)^(vllm:[a-z_]+)(\{[^}]*\}) .*$", line, self._page))

    async def state(self, request: web.Request) -> web.Response:
        """A router without a queue of its own."""
        return web.json_response({"deployments": {}})

    async def wait(self, request: web.Request) -> web.Response:
        """Set how many requests wait in each engine."""
        self._waiting = int(request.match_info["count"])
        return web.Response()


async def serve(*, epoch: float, engines: int, routers: int) -> None:
    """Listen on every pod's address for ever, and say so."""
    pods = Pods(epoch)
    app = web.Application()
    app.router.add_get("/metrics", pods.metrics)
    app.router.add_get("/gemma/v1/state", pods.state)
    app.router.add_post("/waiting/{count}", pods.wait)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for index in range(engines):
        await web.TCPSite(runner, engine_address(index), names.ENGINE_PORT).start()
    for index in range(routers):
        await web.TCPSite(runner, router_address(index), STATE_PORT).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(epoch=float(sys.argv[1]), engines=int(sys.argv[2]), routers=int(sys.argv[3])))
