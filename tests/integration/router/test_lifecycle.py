"""Start and end of the process: not ready before it knows its endpoints, and no stream cut when it is told to go."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import aiohttp
import litellm_venv
import pytest
import pytest_asyncio
from gemma_router import proxy_config

from tests.integration.router.fake_engine import FakeEngine
from tests.integration.router.world import World, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def own_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A router process for one test alone, not started."""
    made = World(tmp_path_factory.mktemp("own"), litellm_venv.ensure())
    yield made
    await made.stop()


async def test_from_a_start_without_permission_to_a_drained_end(own_world: World, engines: list[FakeEngine]) -> None:
    world = own_world
    world.add_deployment("life")
    world.put_endpoints("life", engines[:1])
    granted, world.kube.token = world.kube.token, "somebody-else"
    await world.start(token=granted)
    await eventually(lambda: "bind the role gemma-router" in world.log(), within=120, what="advice in the log")
    with pytest.raises(aiohttp.ClientConnectionError):
        await world.http.get(world.url + proxy_config.READINESS_PATH)
    world.kube.token = granted
    await world.ready()
    assert (await world.state())["deployments"]["life"]["endpoints"] == 1

    engines[0].mode, engines[0].tokens = "wait", 30
    assert world.process is not None
    async with world.chat("life", stream=True) as response:
        assert b'"0 "' in await response.content.readline()
        world.process.send_signal(signal.SIGTERM)
        await _refuses(world)
        engines[0].go_on.set()
        lines = (await response.text()).split()
    assert lines[-1] == "[DONE]"
    # uvicorn ends what was open, then dies by the signal that it got.
    async with asyncio.timeout(60):
        assert await world.process.wait() in (0, -signal.SIGTERM)


async def test_what_waits_when_the_pod_is_told_to_stop_is_answered_or_refused(
    own_world: World, engines: list[FakeEngine]
) -> None:
    world = own_world
    drain = 20
    world.changed_environment = {"GRACEFUL_SHUTDOWN_TIMEOUT": str(drain)}
    for name in ("wakes", "sleeps"):
        world.add_deployment(name, holdTimeoutSeconds=300)
    await world.start()
    await world.ready()
    wakes = [asyncio.create_task(world.ask("wakes")) for _ in range(3)]
    sleeps = asyncio.create_task(world.ask("sleeps"))
    await world.until_state("wakes", held=3)
    await world.until_state("sleeps", held=1)
    assert world.process is not None
    world.process.send_signal(signal.SIGTERM)
    # For some seconds it still takes requests, and has their clients open new connections.
    await eventually(lambda: "told to stop" in world.log())
    async with world.http.get(world.url + "/v1/models", headers={"x-api-key": world.client_key}) as response:
        assert response.status == 200
        assert response.headers["connection"] == "close"
    assert (await world.state())["stopping"] is True
    await _refuses(world)
    world.put_endpoints("wakes", engines[:1])
    assert [status for status, _ in await asyncio.gather(*wakes)] == [200, 200, 200]
    status, body = await sleeps
    assert status == 503
    assert "this router pod stops" in body["error"]["message"]
    async with asyncio.timeout(60):
        await world.process.wait()


async def test_clients_with_open_connections_move_to_another_pod_without_a_loss(
    world: World, second: World, engines: list[FakeEngine]
) -> None:
    world.add_deployment("moves")
    world.put_endpoints("moves", engines)
    for router in (world, second):
        await router.until_state("moves", endpoints=3)
    stop = asyncio.Event()
    done: list[str] = []

    async def client(number: int) -> None:
        """Keeps its connection, as clients do; a new one goes to the pod that stays, as the Service sees to."""
        pods = [second, world]
        async with aiohttp.ClientSession() as session:
            while not stop.is_set():
                body = {"model": "moves", "messages": [], "stream": number % 2 == 0}
                headers = {"Authorization": f"Bearer {world.client_key}"}
                url = f"{pods[0].url}/v1/chat/completions"
                async with session.post(url, json=body, headers=headers) as response:
                    text = await response.text()
                    whole = response.status == 200 and ("[DONE]" in text or number % 2)
                    done.append("whole" if whole else f"{response.status}: {text[-300:]}")
                    if pods[0] is second and response.headers.get("connection") == "close":
                        pods.pop(0)

    clients = [asyncio.create_task(client(number)) for number in range(6)]
    try:
        await eventually(lambda: len(done) > 20, within=60)
        assert second.process is not None
        second.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await second.process.wait()
        so_far = len(done)
        await eventually(lambda: len(done) > so_far + 20, within=60)
    finally:
        stop.set()
    await asyncio.gather(*clients)
    assert set(done) == {"whole"}


async def _refuses(world: World) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            async with aiohttp.ClientSession() as session, session.get(world.url + proxy_config.LIVENESS_PATH):
                pass
        except aiohttp.ClientConnectionError:
            return
        assert time.monotonic() < deadline, "the listener is still open"
        await asyncio.sleep(0.05)
