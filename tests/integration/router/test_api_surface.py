"""The APIs that clients may use, by the OpenAI client and by hand, with the same holding and counting for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.integration.router.fake_engine import FakeEngine
from tests.integration.router.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES = [{"role": "user", "content": "hello"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "hello"},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 5},
}


@pytest_asyncio.fixture(loop_scope="session")
async def client(world: World) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{world.url}/v1", api_key=world.client_key, max_retries=0) as made:
        yield made


async def test_the_openai_client_chats_and_streams(
    world: World, engines: list[FakeEngine], client: openai.AsyncOpenAI
) -> None:
    world.add_deployment("sdk", aliases=["gpt-sdk"])
    world.put_endpoints("sdk", engines)
    await world.until_state("sdk", endpoints=3)
    names = [model.id async for model in client.models.list()]
    assert {"sdk", "gpt-sdk"} <= set(names)
    assert (await client.models.retrieve("gpt-sdk")).id == "gpt-sdk"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nobody")
    answer = await client.chat.completions.create(model="gpt-sdk", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content in {engine.name for engine in engines}
    stream = await client.chat.completions.create(
        model="sdk",
        messages=[{"role": "user", "content": "hello"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "0 1 2 "
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


async def test_the_openai_client_raises_its_own_errors(
    world: World, engines: list[FakeEngine], client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="sk-wrong").models.list()
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "hello"}])
    world.add_deployment("empty")
    await world.until_state("empty", endpoints=0)
    with pytest.raises(openai.InternalServerError) as raised:
        await client.chat.completions.create(model="empty", messages=[{"role": "user", "content": "hello"}])
    assert raised.value.status_code == 503
    assert raised.value.response.headers["retry-after"]


@pytest.mark.parametrize("path", BODIES)
async def test_every_inference_path_is_held_counted_and_answered(
    world: World, engines: list[FakeEngine], path: str
) -> None:
    name = "api-" + path.removeprefix("/v1/").replace("/", "-")
    engines[0].mode = "wait"
    world.add_deployment(name)
    await world.until_state(name, endpoints=0)

    async def ask() -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {world.client_key}"}
        async with world.http.post(world.url + path, json={"model": name, **BODIES[path]}, headers=headers) as response:
            return response.status, await response.text()

    gone = asyncio.create_task(ask())
    asked = asyncio.create_task(ask())
    await world.until_state(name, held=2)
    gone.cancel()
    await world.until_state(name, held=1)
    world.put_endpoints(name, engines[:1])
    await world.until_state(name, held=0, inFlight=1)
    engines[0].go_on.set()
    status, text = await asked
    assert status == 200, text
    assert engines[0].name in text
    await world.until_state(name, inFlight=0)
    assert len(engines[0].bodies) == 1
