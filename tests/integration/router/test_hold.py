"""Requests that find no endpoint: held for a bounded time, released, refused with 503, or left by their client."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.integration.router.fake_engine import FakeEngine
from tests.integration.router.world import HOLD_SECONDS, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_held_request_is_answered_when_an_endpoint_appears(
    world: World, engines: list[FakeEngine], stream: bool
) -> None:
    name = f"held-{stream}".lower()
    world.add_deployment(name)
    await world.until_state(name, endpoints=0)
    asked = [asyncio.create_task(_text(world, name, stream=stream)) for _ in range(3)]
    await world.until_state(name, held=3, inFlight=0)
    world.put_endpoints(name, engines[:1])
    for status, text in await asyncio.gather(*asked):
        assert status == 200, text
        assert ("[DONE]" in text) is stream
    await world.until_state(name, held=0, inFlight=0)


async def _text(world: World, name: str, *, stream: bool) -> tuple[int, str]:
    async with world.chat(name, stream=stream) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("stream", [False, True])
async def test_after_the_bound_it_is_503_with_retry_after(world: World, stream: bool) -> None:
    name = f"bound-{stream}".lower()
    world.add_deployment(name)
    await world.until_state(name, endpoints=0)
    started = time.monotonic()
    async with world.chat(name, stream=stream) as response:
        assert response.status == 503
        assert int(response.headers["retry-after"]) > 0
        error = (await response.json())["error"]
    assert name in error["message"]
    assert "no endpoint" in error["message"]
    # Not sooner than the bound.
    assert time.monotonic() - started >= HOLD_SECONDS
    await world.until_state(name, held=0, inFlight=0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_is_held_no_longer(world: World, engines: list[FakeEngine], stream: bool) -> None:
    name = f"left-{stream}".lower()
    world.add_deployment(name)
    await world.until_state(name, endpoints=0)
    asked = asyncio.create_task(_text(world, name, stream=stream))
    await world.until_state(name, held=1)
    asked.cancel()
    await world.until_state(name, held=0, within=HOLD_SECONDS - 1)
    world.put_endpoints(name, engines[:1])
    await world.until_state(name, endpoints=1, inFlight=0)
    assert (await world.ask(name))[0] == 200
    assert len(engines[0].bodies) == 1


async def test_a_full_queue_refuses_at_once(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("full")
    await world.until_state("full", endpoints=0)
    asked = [asyncio.create_task(_text(world, "full", stream=False)) for _ in range(8)]
    await world.until_state("full", held=8)
    async with world.chat("full") as response:
        assert response.status == 503
        assert "8 requests wait already" in (await response.json())["error"]["message"]
        assert "retry-after" in response.headers
    world.put_endpoints("full", engines[:1])
    assert {status for status, _ in await asyncio.gather(*asked)} == {200}


async def test_the_only_endpoint_dies_and_its_request_waits_for_the_next_one(
    world: World, engines: list[FakeEngine]
) -> None:
    old, new = engines[:2]
    world.add_deployment("killed")
    world.put_endpoints("killed", [old])
    await world.until_state("killed", endpoints=1)
    await old.stop()
    asked = asyncio.create_task(world.ask("killed"))
    await world.until_state("killed", ejected=1, held=1, endpoints=0)
    world.put_endpoints("killed", [new])
    status, body = await asked
    assert status == 200
    assert body["choices"][0]["message"]["content"] == new.name


async def test_a_draining_only_endpoint_hands_its_request_to_the_next_one(
    world: World, engines: list[FakeEngine]
) -> None:
    old, new = engines[:2]
    old.mode = "shutdown"
    world.add_deployment("inplace")
    world.put_endpoints("inplace", [old])
    await world.until_state("inplace", endpoints=1)
    asked = asyncio.create_task(world.ask("inplace"))
    await world.until_state("inplace", held=1)
    world.put_endpoints("inplace", [new])
    assert (await asked)[0] == 200
    assert len(old.bodies) == 1
