"""Endpoints and names reach the running proxy through the watch alone."""

from __future__ import annotations

import time

import pytest

from tests.integration.router.fake_engine import ENGINE_KEY, FakeEngine
from tests.integration.router.fake_kube import CONFIGMAPS
from tests.integration.router.world import ROUTER, World, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMISE_SECONDS = 2.0


async def test_a_new_and_a_gone_pod_take_effect_without_a_restart(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("swap")
    world.put_endpoints("swap", engines[:1])
    await world.until_state("swap", endpoints=1)
    assert world.process is not None
    pid = world.process.pid
    took = []
    for engine in [engines[1], engines[2], engines[0]]:
        started = time.monotonic()
        world.put_endpoints("swap", [engine])
        while (await world.ask("swap"))[1]["choices"][0]["message"]["content"] != engine.name:
            assert time.monotonic() - started < 20, f"{engine.name} got no request"
        took.append(time.monotonic() - started)
    # The fastest of three: a busy machine slows all of them, a router that polls would slow each.
    assert min(took) < PROMISE_SECONDS
    assert world.process.pid == pid
    assert world.process.returncode is None
    assert engines[0].authorizations == {f"Bearer {ENGINE_KEY}"}


async def test_only_ready_endpoints_get_requests(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("ready")
    world.put_endpoints("ready", engines[:1], not_ready=engines[1:2], terminating=engines[2:])
    await world.until_state("ready", endpoints=1)
    for _ in range(6):
        assert (await world.ask("ready"))[0] == 200
    assert [len(engine.bodies) for engine in engines] == [6, 0, 0]


async def test_slices_of_one_service_are_merged(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("merged")
    world.put_endpoints("merged", engines[:1], part="a")
    world.put_endpoints("merged", engines[1:], part="b")
    await world.until_state("merged", endpoints=3)
    world.put_endpoints("merged", [], part="a")
    await world.until_state("merged", endpoints=2)


async def test_a_stream_goes_on_when_its_endpoint_terminates(world: World, engines: list[FakeEngine]) -> None:
    old, new = engines[0], engines[1]
    old.mode, old.tokens = "wait", 40
    world.add_deployment("drained")
    world.put_endpoints("drained", [old])
    await world.until_state("drained", endpoints=1)
    async with world.chat("drained", stream=True, stream_options={"include_usage": True}) as response:
        first = await response.content.readline()
        assert b'"0 "' in first
        world.put_endpoints("drained", [new], terminating=[old])
        await world.until_state("drained", endpoints=1, inFlight=1)
        assert (await world.ask("drained"))[1]["choices"][0]["message"]["content"] == new.name
        world.put_endpoints("drained", [new])
        await world.until_state("drained", endpoints=1, inFlight=1)
        old.go_on.set()
        rest = (await response.text()).strip().splitlines()
    assert rest[-1] == "data: [DONE]"
    assert '"completion_tokens":40' in "".join(rest)
    assert sum('"content"' in line for line in rest) == 39
    await world.until_state("drained", inFlight=0)


async def test_names_are_listed_at_zero_and_follow_the_routes(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("asleep", aliases=["gpt-4o-mini", "my-model"])
    await world.until_state("asleep", endpoints=0)
    assert {"asleep", "gpt-4o-mini", "my-model"} <= await world.models()
    world.add_deployment("asleep", aliases=["renamed"])
    listed: set[str] = set()
    deadline = time.monotonic() + 10
    while "renamed" not in listed:
        assert time.monotonic() < deadline
        listed = await world.models()
    assert not listed & {"gpt-4o-mini", "my-model"}
    world.put_endpoints("asleep", engines[:1])
    await world.until_state("asleep", endpoints=1)
    assert (await world.ask("renamed"))[0] == 200
    assert engines[0].bodies[-1]["model"] == "asleep"
    world.remove_deployment("asleep")
    while {"asleep", "renamed"} & await world.models():
        assert time.monotonic() < deadline + 10


@pytest.mark.parametrize("model", ["nobody", "known@hold", "known,known", ""])
async def test_a_name_that_is_no_deployment_is_404(world: World, engines: list[FakeEngine], model: str) -> None:
    world.add_deployment("known")
    world.put_endpoints("known", engines[:1])
    await world.until_state("known", endpoints=1)
    status, body = await world.ask(model)
    assert status == 404, body
    assert body["error"]["type"] == "invalid_request_error"
    assert "known" in body["error"]["message"]


async def test_the_id_of_one_endpoint_is_no_model(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("pinned")
    world.put_endpoints("pinned", engines[:1])
    await world.until_state("pinned", endpoints=1)
    status, _ = await world.ask(f"pinned@127.0.0.1:{engines[0].port}")
    assert status == 404
    assert engines[0].bodies == []


async def test_a_fallback_answers_when_the_deployment_has_no_endpoint(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("small")
    world.add_deployment("big", fallbacks=["small"])
    world.put_endpoints("small", engines[:1])
    await world.until_state("small", endpoints=1)
    await world.until_state("big", endpoints=0)
    status, body = await world.ask("big")
    assert status == 200, body
    assert engines[0].bodies[-1]["model"] == "small"


async def test_routes_that_cannot_be_read_change_nothing(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("stays")
    world.put_endpoints("stays", engines[:1])
    await world.until_state("stays", endpoints=1)
    world.kube.put(
        CONFIGMAPS, {"metadata": {"name": f"{ROUTER}-routes"}, "data": {"routes.json": '{"deployments": [{"x": 1}]}'}}
    )
    await eventually(lambda: "deployments[0].name must be a text" in world.log(), what="an error in the log")
    assert (await world.ask("stays"))[0] == 200
    world.add_deployment("stays", aliases=["healed"])
    await world.until_state("stays", endpoints=1)
    deadline = time.monotonic() + 10
    while "healed" not in await world.models():
        assert time.monotonic() < deadline
