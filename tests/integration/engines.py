"""Engines and routers behind the addresses of kwok's pods: what they report follows a small model of load.

Nodes that carry `Engines.cidr` give their pods addresses of this machine, on which one server here answers for all.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from aiohttp import web
from gemma_operator.api import names
from gemma_router.proxy_config import STATE_PORT

from tests.kubectl import Kubectl, Object

T = TypeVar("T")
Silence = Literal["", "refuses", "hangs"]
_LOOK_SECONDS = 0.5
_DRAIN_SECONDS = 120
"""In which the policy wants a backlog worked off (docs/scaling.md)."""
_FULL = 0.9
"""Share of their time that saturated engines are counted with."""
_COUNTERS = {
    "vllm:request_success_total": "completions",
    "vllm:generation_tokens_total": "generated",
    "vllm:prompt_tokens_total": "prompt",
    "vllm:iteration_tokens_total_count": "steps",
}


@dataclass(slots=True)
class Engine:
    """One engine pod: requests that run, and what it counted since its start."""

    running: float = 0.0
    completions: float = 0.0
    generated: float = 0.0
    prompt: float = 0.0
    steps: float = 0.0

    def work(self, seconds: float, load: "Load") -> None:
        """Decode for so long with all that runs."""
        steps = seconds / (load.step_base + load.step_per_sequence * self.running)
        done = min(self.running, steps * self.running / load.output)
        self.steps += steps
        self.generated += done * load.output
        self.completions += done
        self.running -= done


@dataclass(slots=True, kw_only=True)
class Load:
    """Requests for one deployment: a stream that queues in the router while no engine has a place."""

    seats: int
    """Requests that one engine runs at once."""
    rate: float = 0.0
    """New requests per second."""
    prompt: int = 500
    output: int = 200
    step_base: float = 0.016
    step_per_sequence: float = 0.00018
    step_per_prompt_token: float = 0.0001
    silence: Silence = ""
    """What its engines do instead of answering."""
    held: float = 0.0
    engines: dict[str, Engine] = field(default_factory=dict)
    asked: int = 0
    """Times that an engine was asked for its metrics."""
    most_needed: int = 0
    """Largest number of replicas that load and backlog were ever worth."""
    _at: float = field(default_factory=time.monotonic)

    @property
    def cost(self) -> float:
        """Seconds of one engine, with all seats taken, that a request takes."""
        step = self.step_base + self.step_per_sequence * self.seats
        return self.step_per_prompt_token * self.prompt + self.output * step / self.seats

    def busy(self, engines: float) -> None:
        """Set the rate that so many engines can just serve."""
        self.rate = engines / self.cost

    def advance(self) -> None:
        """Let the time since the last call pass: requests arrive, take seats, run, leave."""
        now = time.monotonic()
        left, self._at = now - self._at, now
        while left > 0:
            seconds = min(left, 0.1)
            left -= seconds
            self.held += self.rate * seconds
            for engine in self.engines.values():
                # A prompt takes its engine for itself; it cannot take more than all the time there is.
                most = seconds / (self.step_per_prompt_token * self.prompt)
                taken = min(self.held, self.seats - engine.running, most)
                self.held -= taken
                engine.running += taken
                engine.prompt += taken * self.prompt
                engine.work(seconds * (1 - taken / most), self)
            needed = (self.rate + self.held / _DRAIN_SECONDS) * self.cost / _FULL
            self.most_needed = max(self.most_needed, -int(-needed // 1))


class Engines:
    """The server and its loads; use it as a context manager around what uses the pods' addresses."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.cidr = ""
        """Give it to nodes as `podCIDR`."""
        self.silent_routers: set[tuple[str, str]] = set()
        self._asked_routers: Counter[tuple[str, str]] = Counter()
        self._kubectl = kubectl
        self._loads: dict[tuple[str, str], Load] = {}
        self._pods: dict[str, Object] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engines", daemon=True)
        self._runner: web.AppRunner | None = None
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, namespace: str, deployment: str, *, seats: int) -> Load:
        """The load of a deployment, at first none."""
        load = Load(seats=seats)
        self._loads[namespace, deployment] = load
        return load

    def asked(self, namespace: str, router: str) -> int:
        """Times that the first pod of a router was asked for its counts."""
        return self._asked_routers[namespace, router]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/gemma/v1/state", self._state)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        for prefix in _prefixes():
            try:
                # The first /24 that nobody uses: tests may run beside each other.
                await web.TCPSite(self._runner, f"{prefix}.1", names.ENGINE_PORT).start()
            except OSError:
                continue
            self.cidr = f"{prefix}.0/24"
            break
        assert self.cidr, "no free loopback range"
        prefix = self.cidr.rpartition(".")[0]
        for last in range(1, 255):
            for port in (names.ENGINE_PORT, STATE_PORT):
                if (last, port) != (1, names.ENGINE_PORT):
                    await web.TCPSite(self._runner, f"{prefix}.{last}", port).start()
        self._watch = asyncio.create_task(self._follow())

    async def _stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        if self._runner is not None:
            await self._runner.cleanup()

    async def _follow(self) -> None:
        """Learn which pod has which address, and let time pass."""
        while True:
            pods = await asyncio.to_thread(
                self._kubectl.find, "pods", selector=f"{names.MANAGED_BY_LABEL}={names.MANAGER}"
            )
            # An address is used again once its pod is gone.
            self._pods = {
                pod["status"]["podIP"]: pod
                for pod in pods
                if pod.get("status", {}).get("podIP") and not pod["metadata"].get("deletionTimestamp")
            }
            for (namespace, deployment), load in list(self._loads.items()):
                load.advance()
                there = {
                    pod["metadata"]["name"]
                    for pod in self._pods.values()
                    if pod["metadata"]["namespace"] == namespace
                    and pod["metadata"]["labels"].get(names.DEPLOYMENT_LABEL) == deployment
                }
                load.engines = {name: load.engines.get(name) or Engine() for name in sorted(there)}
            await asyncio.sleep(_LOOK_SECONDS)

    def _asked(self, request: web.Request) -> Object | None:
        address = request.transport.get_extra_info("sockname")[0] if request.transport else ""
        return self._pods.get(address)

    async def _metrics(self, request: web.Request) -> web.Response:
        pod = self._asked(request)
        labels = pod["metadata"]["labels"] if pod else {}
        deployment = labels.get(names.DEPLOYMENT_LABEL, "")
        load = self._loads.get((pod["metadata"]["namespace"], deployment)) if pod else None
        if pod is None or load is None:
            return web.Response(status=404)
        load.asked += 1
        if load.silence == "hangs":
            await asyncio.sleep(600)
        if load.silence:
            return web.Response(status=503)
        load.advance()
        engine = load.engines.setdefault(pod["metadata"]["name"], Engine())
        lines = [
            _line("vllm:num_requests_running", deployment, round(engine.running)),
            _line("vllm:num_requests_waiting", deployment, 0),
            _line("vllm:kv_cache_usage_perc", deployment, round(engine.running / load.seats, 4)),
            _line("vllm:prompt_tokens_cached_total", deployment, 0),
            *(_line(name, deployment, round(getattr(engine, counter))) for name, counter in _COUNTERS.items()),
        ]
        return web.Response(text="\n".join(lines) + "\n")

    async def _state(self, request: web.Request) -> web.Response:
        pod = self._asked(request)
        if pod is None:
            return web.Response(status=404)
        namespace, router = pod["metadata"]["namespace"], pod["metadata"]["labels"].get(names.ROUTER_LABEL, "")
        # The first pod of a router tells it all; the sum is what counts.
        mine = [
            address
            for address, each in self._pods.items()
            if each["metadata"]["namespace"] == namespace
            and each["metadata"]["labels"].get(names.ROUTER_LABEL) == router
        ]
        first = self._pods[min(mine)] is pod
        self._asked_routers[namespace, router] += first
        if (namespace, router) in self.silent_routers:
            return web.Response(status=503)
        deployments = {}
        for (home, name), load in self._loads.items():
            if home == namespace and first:
                load.advance()
                running = sum(engine.running for engine in load.engines.values())
                deployments[name] = {"inFlight": round(running), "held": round(load.held)}
        return web.json_response({"deployments": deployments})


def _prefixes() -> Iterator[str]:
    return (f"127.{64 + second}.{third}" for second in range(4) for third in range(256))


def _line(name: str, deployment: str, value: float) -> str:
    return f'{name}{{engine="0",model_name="{deployment}"}} {value}'
