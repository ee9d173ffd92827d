"""The count of requests in flight: exact through every way a request can end, and what the choice goes by."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.router.fake_engine import FakeEngine
from tests.integration.router.world import World, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_requests_go_to_the_endpoint_with_the_fewest(world: World, engines: list[FakeEngine]) -> None:
    for engine in engines:
        engine.mode = "wait"
    world.add_deployment("fewest")
    world.put_endpoints("fewest", engines)
    await world.until_state("fewest", endpoints=3)
    asked = [asyncio.create_task(world.ask("fewest")) for _ in range(9)]
    await eventually(lambda: sum(engine.running for engine in engines) == 9)
    assert [engine.running for engine in engines] == [3, 3, 3]
    await world.until_state("fewest", inFlight=9)
    engines[1].go_on.set()
    await eventually(lambda: engines[1].running == 0)
    await world.until_state("fewest", inFlight=6)
    engines[1].go_on.clear()
    asked += [asyncio.create_task(world.ask("fewest")) for _ in range(3)]
    await eventually(lambda: engines[1].running == 3)
    for engine in engines:
        engine.go_on.set()
    assert {status for status, _ in await asyncio.gather(*asked)} == {200}
    await world.until_state("fewest", inFlight=0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_first_byte_ends_the_count(
    world: World, engines: list[FakeEngine], stream: bool
) -> None:
    name = f"early-{stream}".lower()
    engines[0].mode = "wait"
    engines[0].tokens = 3
    world.add_deployment(name)
    world.put_endpoints(name, engines[:1])
    await world.until_state(name, endpoints=1)

    async def ask() -> None:
        async with world.chat(name, stream=stream) as response:
            await response.read()

    asked = [asyncio.create_task(ask()) for _ in range(3)]
    await eventually(lambda: engines[0].running == 3)
    await world.until_state(name, inFlight=3)
    for task in asked:
        task.cancel()
    await world.until_state(name, inFlight=0)
    await eventually(lambda: engines[0].running == 0, what="the engine's requests are dropped too")


async def test_a_client_that_leaves_within_a_stream_ends_the_count(world: World, engines: list[FakeEngine]) -> None:
    engines[0].mode, engines[0].tokens = "wait", 50
    world.add_deployment("mid")
    world.put_endpoints("mid", engines[:1])
    await world.until_state("mid", endpoints=1)
    async with world.chat("mid", stream=True) as response:
        assert b'"0 "' in await response.content.readline()
        await world.until_state("mid", inFlight=1)
        response.close()
    await world.until_state("mid", inFlight=0)
    await eventually(lambda: engines[0].running == 0, what="the engine's request is dropped too")


async def test_a_stream_arrives_token_by_token(world: World, engines: list[FakeEngine]) -> None:
    engines[0].mode, engines[0].tokens = "wait", 4
    world.add_deployment("unbuffered")
    world.put_endpoints("unbuffered", engines[:1])
    await world.until_state("unbuffered", endpoints=1)
    async with world.chat("unbuffered", stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        # The engine stands still after its first token: it must be here although nothing follows.
        assert b'"0 "' in await response.content.readline()
        engines[0].go_on.set()
        lines = (await response.text()).split("\n\n")
    events = [line.removeprefix("data: ").strip() for line in lines if line.strip()]
    assert events[-1] == "[DONE]"


async def test_a_crowd_that_fails_leaves_and_succeeds_returns_to_zero(world: World, engines: list[FakeEngine]) -> None:
    engines[0].mode = "broken"
    engines[1].mode, engines[1].tokens = "wait", 3
    world.add_deployment("crowd")
    world.put_endpoints("crowd", engines)
    await world.until_state("crowd", endpoints=3)

    async def ask(number: int) -> None:
        async with world.chat("crowd", stream=number % 2 == 0) as response:
            await response.read()

    asked = [asyncio.create_task(ask(number)) for number in range(24)]
    await eventually(lambda: engines[1].running >= 3)
    for task in asked[::3]:
        task.cancel()
    engines[1].go_on.set()
    await asyncio.gather(*asked, return_exceptions=True)
    await world.until_state("crowd", inFlight=0, held=0)
    await eventually(lambda: not any(engine.running for engine in engines))
