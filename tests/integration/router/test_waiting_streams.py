"""Streams that wait for long: comments keep them alive, and OpenAI's client takes what follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio

from tests.integration.router.fake_engine import FakeEngine
from tests.integration.router.world import COMMENT_SECONDS, World

pytestmark = pytest.mark.asyncio(loop_scope="session")
HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


@pytest_asyncio.fixture(loop_scope="session")
async def client(world: World) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{world.url}/v1", api_key=world.client_key, max_retries=0) as made:
        yield made


async def test_a_waiting_stream_gets_comments_and_then_its_answer(
    world: World, engines: list[FakeEngine], client: openai.AsyncOpenAI
) -> None:
    world.add_deployment("patient", holdTimeoutSeconds=60)
    await world.until_state("patient", endpoints=0)

    async def chunks() -> list[str]:
        stream = await client.chat.completions.create(model="patient", messages=HELLO, stream=True)
        return [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]

    asked = asyncio.create_task(chunks())
    plain = asyncio.create_task(world.ask("patient"))
    async with world.chat("patient", stream=True) as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert await response.content.readline() == b": waiting\n"
        await world.until_state("patient", held=3, oldestHeldSeconds=COMMENT_SECONDS)
        world.put_endpoints("patient", engines[:1])
        text = await response.text()
    assert text.rstrip().endswith("data: [DONE]")
    assert '"2 "' in text
    assert "".join(await asyncio.wait_for(asked, 20)) == "0 1 2 "
    # One that does not stream gets its status when there is one.
    assert (await plain)[0] == 200
    await world.until_state("patient", held=0, inFlight=0)


@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages"])
async def test_a_stream_that_is_given_up_late_ends_in_an_error_event(world: World, path: str) -> None:
    name = path.replace("/", "-")
    world.add_deployment(name, holdTimeoutSeconds=COMMENT_SECONDS + 1)
    await world.until_state(name, endpoints=0)
    body = {"model": name, "stream": True, "input": "hello", "messages": HELLO, "max_tokens": 5}
    del body["messages" if path == "responses" else "input"]
    headers = {"Authorization": f"Bearer {world.client_key}"}
    async with world.http.post(f"{world.url}/v1/{path}", json=body, headers=headers) as response:
        assert response.status == 200
        text = await response.text()
    assert text.startswith(": waiting\n\n")
    assert f"deployment '{name}' has no endpoint" in text
    assert ("event: error\n" in text) is (path != "chat/completions")
    assert "[DONE]" not in text
    await world.until_state(name, held=0, inFlight=0)


async def test_openais_client_raises_for_a_stream_that_is_given_up_late(
    world: World, client: openai.AsyncOpenAI
) -> None:
    world.add_deployment("gaveup", holdTimeoutSeconds=COMMENT_SECONDS + 1)
    await world.until_state("gaveup", endpoints=0)
    stream = await client.chat.completions.create(model="gaveup", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="'gaveup' has no endpoint"):
        async for _ in stream:
            pass


async def test_a_client_that_leaves_after_a_comment_is_forgotten(world: World) -> None:
    world.add_deployment("leaves", holdTimeoutSeconds=60)
    await world.until_state("leaves", endpoints=0)
    async with world.chat("leaves", stream=True) as response:
        assert await response.content.readline() == b": waiting\n"
        await world.until_state("leaves", held=1)
        response.close()
    await world.until_state("leaves", held=0)


async def test_a_slow_engine_is_covered_too_and_its_error_reaches_the_client(
    world: World, engines: list[FakeEngine], client: openai.AsyncOpenAI
) -> None:
    engines[0].mode = "slow-error"
    world.add_deployment("prefill")
    world.put_endpoints("prefill", engines[:1])
    await world.until_state("prefill", endpoints=1)
    async with world.chat("prefill", stream=True) as response:
        assert response.status == 200
        assert await response.content.readline() == b": waiting\n"
        engines[0].go_on.set()
        text = await response.text()
    assert "maximum context length" in text
    assert '"error"' in text
    await world.until_state("prefill", held=0, inFlight=0)
