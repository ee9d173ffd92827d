"""A burst on one saturated engine, then a second engine: late binding against plain least in flight."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import litellm_venv

from bench.report import Finding
from tests.integration.router import standins
from tests.integration.router.world import World

SEQUENCES, REQUESTS, TOKENS, TOKENS_PER_SECOND = 8, 64, 40, 25


@dataclass(frozen=True, slots=True)
class Step:
    """Seconds after the second engine appeared: until it ran a request, and the first tokens of those that waited."""

    runs: float | None
    first_tokens: list[float]

    @property
    def last(self) -> float:
        """Until the last waiting request had its first token."""
        return max(self.first_tokens)

    @property
    def p50(self) -> float:
        """Until half of them had."""
        return quantiles(self.first_tokens, n=2)[0]


def run(folder: Path) -> list[Finding]:
    """Do the same step twice: the routes bound an endpoint, or they do not."""
    return asyncio.run(_run(folder))


async def _run(folder: Path) -> list[Finding]:
    world = World(folder, litellm_venv.ensure())
    world.changed_environment = {"GEMMA_HOLD_SECONDS": "300", "GEMMA_HOLD_QUEUE": "1000"}
    try:
        await world.start()
        await world.ready()
        plain = await _step(world, "plain", folder)
        late = await _step(world, "late", folder, maxNumSeqs=SEQUENCES)
    finally:
        await world.stop()
    how = (
        f"{REQUESTS} streams of {TOKENS} tokens on one stand-in with {SEQUENCES} sequences, then a second one; from "
        "its appearance, streams that had no token yet"
    )
    return [
        Finding(
            what="waiting streams begin after a step: last one, late binding against least in flight",
            figure=f"{late.last / plain.last:.2f}×",
            aim="about half",
            detail=f"{how} ({late.last:.1f} s against {plain.last:.1f} s here; half of them {late.p50:.1f} s against "
            f"{plain.p50:.1f} s)",
        ),
        Finding(
            what="a new endpoint's first request, when all requests came before it",
            figure="never" if late.runs is None else f"{late.runs * 1000:.0f} ms",
            aim="at once",
            detail=f"{how}; with least in flight {'never' if plain.runs is None else f'{plain.runs:.1f} s'}",
        ),
    ]


async def _step(world: World, name: str, folder: Path, **route: int) -> Step:
    engines = [
        await standins.start(
            f"{name}-{index}", name, folder, max_num_seqs=SEQUENCES, tokens_per_second=TOKENS_PER_SECOND
        )
        for index in range(2)
    ]
    try:
        for engine in engines:
            await engine.healthy(world.http)
        world.add_deployment(name, **route)
        world.put_endpoints(name, engines[:1])
        await world.until_state(name, endpoints=1)
        begun: list[tuple[float, str]] = []
        asked = [asyncio.create_task(_stream(world, name, begun)) for _ in range(REQUESTS)]
        deadline = time.monotonic() + 60
        while len(begun) < SEQUENCES or await _known(world, name) < REQUESTS:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(begun)} streams have begun after a minute")
            await asyncio.sleep(0.05)
        before = len(begun)
        world.put_endpoints(name, engines)
        appeared = time.monotonic()
        await asyncio.gather(*asked)
    finally:
        for engine in engines:
            await engine.stop()
    second = f"{name}@127.0.0.1:{engines[1].port}"
    runs = [at - appeared for at, where in begun if where == second]
    return Step(min(runs, default=None), [at - appeared for at, _ in begun[before:]])


async def _known(world: World, name: str) -> int:
    numbers = (await world.state())["deployments"][name]
    return int(numbers["inFlight"] + numbers["held"])


async def _stream(world: World, name: str, begun: list[tuple[float, str]]) -> None:
    async with world.chat(name, stream=True, max_tokens=TOKENS, ignore_eos=True) as response:
        await response.content.readany()
        begun.append((time.monotonic(), response.headers.get("x-litellm-model-id", "")))
        text = await response.text()
    if response.status != 200 or '"error"' in text:
        raise RuntimeError(f"{response.status}: {text[-300:]}")
