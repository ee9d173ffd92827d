"""Engines that behave like vLLM, replaced one after the other under load: no request is lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.router.standins import StandIn, start
from tests.integration.router.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKENS = 40


@pytest_asyncio.fixture(loop_scope="session")
async def fleet(world: World, tmp_path: Path) -> AsyncIterator[list[StandIn]]:
    """Four stand-ins of the deployment `rolling`: two to begin with, two to replace them."""
    made = [await start(f"standin-{index}", "rolling", tmp_path) for index in range(4)]
    try:
        for engine in made:
            await engine.healthy(world.http)
        yield made
    finally:
        for engine in made:
            await engine.stop()


async def test_a_rolling_replacement_under_load_loses_nothing(world: World, fleet: list[StandIn]) -> None:
    world.add_deployment("rolling")
    world.put_endpoints("rolling", fleet[:2])
    await world.until_state("rolling", endpoints=2)
    done: list[str] = []
    stop = asyncio.Event()

    async def client(number: int) -> None:
        while not stop.is_set():
            done.append(await one_answer(world, stream=number % 3 != 0))

    clients = [asyncio.create_task(client(number)) for number in range(6)]
    try:
        for old, new in ((0, 2), (1, 3)):
            await answers(done, 12)
            # As Kubernetes does: the new one is ready, the old one is marked and gets its signal at about that time.
            staying = [fleet[1 - old]] if old == 0 else [fleet[2]]
            world.put_endpoints("rolling", [*staying, fleet[new]], terminating=[fleet[old]])
            fleet[old].process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                await fleet[old].process.wait()
            world.put_endpoints("rolling", [*staying, fleet[new]])
        await answers(done, 12)
    finally:
        stop.set()
    await asyncio.gather(*clients)
    assert set(done) == {"complete"}
    await world.until_state("rolling", endpoints=2, inFlight=0, held=0)


async def answers(done: list[str], more: int) -> None:
    """Wait until so many further requests have ended."""
    wanted = len(done) + more
    async with asyncio.timeout(60):
        while len(done) < wanted:  # noqa: ASYNC110  # a length has no event
            await asyncio.sleep(0.02)


async def one_answer(world: World, *, stream: bool) -> str:
    """Return `complete`, or what is wrong with the answer."""
    fields: dict[str, Any] = {"max_tokens": TOKENS, "ignore_eos": True}
    if not stream:
        status, body = await world.ask("rolling", **fields)
        complete = status == 200 and body["usage"]["completion_tokens"] == TOKENS
        return "complete" if complete else f"{status}: {body}"
    async with world.chat("rolling", stream=True, stream_options={"include_usage": True}, **fields) as response:
        text = await response.text()
    complete = f'"completion_tokens":{TOKENS}' in text and text.rstrip().endswith("[DONE]") and '"error"' not in text
    return "complete" if complete and response.status == 200 else f"{response.status}: {text[-500:]}"
