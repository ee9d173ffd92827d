"""What the router costs: LiteLLM with gemma_router against LiteLLM alone and against the engine, in one run."""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import aiohttp
import litellm_venv
import yaml
from gemma_router import proxy_config

from bench.report import Finding
from tests.integration.router import standins
from tests.integration.router.fake_engine import ENGINE_KEY
from tests.integration.router.world import World, free_port

MODEL = "bench"
BARE_KEY = "sk-of-the-benchmark-alone"
SINGLE, CROWD, CLIENTS, ROUNDS = 300, 80, 8, 7
PAUSE_SECONDS = 0.02
TICKS = os.sysconf("SC_CLK_TCK")
_OURS_ALONE = ("PYTHONPATH", "LITELLM_WORKER_STARTUP_HOOKS", "GEMMA_KEYS_DIR")


@dataclass(frozen=True, slots=True)
class Target:
    """Something that answers chat completions, and the process whose CPU time that costs."""

    name: str
    url: str
    key: str
    pid: int

    def cpu_seconds(self) -> float:
        """CPU time of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    async def ask(self, session: aiohttp.ClientSession, *, stream: bool = True) -> float:
        """Send one request for one token and return the seconds until its first byte."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1, "stream": stream}
        headers = {"Authorization": f"Bearer {self.key}"}
        started = time.perf_counter()
        async with session.post(f"{self.url}/v1/chat/completions", json=body, headers=headers) as response:
            await response.content.readany()
            first = time.perf_counter() - started
            await response.read()
            if response.status != 200:
                raise RuntimeError(f"{self.name} answered {response.status}")
        return first


def run(folder: Path) -> list[Finding]:
    """Start the three, measure in turns."""
    return asyncio.run(_run(folder))


async def _run(folder: Path) -> list[Finding]:
    python = litellm_venv.ensure()
    engine = await standins.start("engine", MODEL, folder, max_num_seqs=64, tokens_per_second=100_000)
    world = World(folder, python)
    world.add_deployment(MODEL, maxNumSeqs=64)
    bare, url = await _bare_litellm(folder, python, engine.port)
    try:
        await engine.healthy(world.http)
        await world.start()
        world.put_endpoints(MODEL, [engine])
        await world.ready()
        await world.until_state(MODEL, endpoints=1)
        assert world.process is not None
        targets = [
            Target("engine", f"http://127.0.0.1:{engine.port}", ENGINE_KEY, engine.process.pid),
            Target("bare", url, BARE_KEY, bare.pid),
            Target("ours", world.url, world.client_key, world.process.pid),
        ]
        await _answers(targets[1], world.http)
        return await _measure(targets)
    finally:
        bare.kill()
        await bare.wait()
        await world.stop()
        await engine.stop()


async def _bare_litellm(folder: Path, python: Path, port: int) -> tuple[asyncio.subprocess.Process, str]:
    """LiteLLM with the same settings, without our hook and our authentication, and the engine in its model list."""
    config = proxy_config.litellm_config()
    parameters = {"model": f"hosted_vllm/{MODEL}", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": ENGINE_KEY}
    config["model_list"] = [{"model_name": MODEL, "litellm_params": parameters}]
    general = config["general_settings"]
    assert isinstance(general, dict)
    del general["custom_auth"]
    path, listen = folder / "bare.yaml", free_port()
    path.write_text(yaml.safe_dump(config))
    environment = {name: value for name, value in proxy_config.ENVIRONMENT.items() if name not in _OURS_ALONE}
    environment |= {"PATH": os.environ["PATH"], "LITELLM_MASTER_KEY": BARE_KEY}
    with (folder / "bare.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(python.parent / "litellm"), "--config", str(path), "--host", "127.0.0.1", "--port", str(listen)),
            env=environment,
            stdout=log,
            stderr=log,
        )
    return process, f"http://127.0.0.1:{listen}"


async def _answers(target: Target, session: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            await target.ask(session)
            return
        except (aiohttp.ClientError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


async def _measure(targets: list[Target]) -> list[Finding]:
    first: dict[str, list[float]] = {target.name: [] for target in targets}
    per_core: dict[str, list[float]] = {target.name: [] for target in targets}
    # uvicorn closes a connection that was idle for 5 s, also in the moment in which it is used again.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=2)) as session:
        for target in targets:
            for _ in range(20):
                await target.ask(session)
        # In turns, so that what else the machine does hits all of them; in changing order and with a pause, because
        # LiteLLM still works on a request when it has answered it.
        for _ in range(SINGLE):
            for target in random.sample(targets, len(targets)):
                first[target.name].append(await target.ask(session))
                await asyncio.sleep(PAUSE_SECONDS)
        for _ in range(ROUNDS):
            for target in targets:
                per_core[target.name].append(await _crowd(target, session))
    latency = {name: median(values) * 1000 for name, values in first.items()}
    more = median(ours - bare for ours, bare in zip(first["ours"], first["bare"], strict=True)) * 1000
    rate = {name: median(values) for name, values in per_core.items()}
    ratio = median(ours / bare for ours, bare in zip(per_core["ours"], per_core["bare"], strict=True))
    return [
        Finding(
            what="first byte of a stream through the router, more than through LiteLLM alone",
            figure=f"{more:+.2f} ms",
            aim="≤ 1 ms",
            detail=f"median of {SINGLE}, one at a time, in turns (engine {latency['engine']:.1f} ms, LiteLLM "
            f"{latency['bare']:.1f} ms, router {latency['ours']:.1f} ms here: "
            f"{latency['ours'] / latency['engine']:.1f}× the engine)",
        ),
        Finding(
            what="requests per second and core of the router, against LiteLLM alone",
            figure=f"{ratio:.2f}×",
            aim="≥ 1×",
            detail=f"{CROWD} streams of one token by {CLIENTS} clients per CPU second of the process, in turns, median "
            f"of {ROUNDS} (router {rate['ours']:.0f}/s, LiteLLM {rate['bare']:.0f}/s, stand-in "
            f"{rate['engine']:.0f}/s here)",
        ),
    ]


async def _crowd(target: Target, session: aiohttp.ClientSession) -> float:
    """Requests per CPU second of the target's process, with several clients at once."""
    left = iter(range(CROWD))

    async def client() -> None:
        for _ in left:
            await target.ask(session)

    before = target.cpu_seconds()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return CROWD / (target.cpu_seconds() - before)
