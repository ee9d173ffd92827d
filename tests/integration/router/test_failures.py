"""Endpoints that refuse, break, drain or cut: what the client sees, and who gets the next request."""

from __future__ import annotations

import pytest

from tests.integration.router.fake_engine import FakeEngine
from tests.integration.router.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_endpoint_that_refuses_is_ejected_at_once_and_comes_back(
    world: World, engines: list[FakeEngine]
) -> None:
    dead = engines[0]
    world.add_deployment("refuse")
    world.put_endpoints("refuse", engines)
    await world.until_state("refuse", endpoints=3)
    await dead.stop()
    for _ in range(12):
        assert (await world.ask("refuse"))[0] == 200
    await world.until_state("refuse", endpoints=2, ejected=1)
    assert world.log().count(f"endpoint refuse@127.0.0.1:{dead.port} ejected") == 1
    await dead.start()
    await world.until_state("refuse", endpoints=3, ejected=0, within=20)
    assert dead.probes >= 1
    assert (await world.ask("refuse"))[0] == 200


async def test_an_ejected_endpoint_whose_pod_is_another_one_is_used_again(
    world: World, engines: list[FakeEngine]
) -> None:
    dead, other = engines[:2]
    world.add_deployment("replaced")
    world.put_endpoints("replaced", [dead, other])
    await world.until_state("replaced", endpoints=2)
    await dead.stop()
    # Idle ties go to any of them: within so many requests the dead one is tried.
    for _ in range(20):
        assert (await world.ask("replaced"))[0] == 200
    await world.until_state("replaced", endpoints=1, ejected=1)
    world.put_endpoints("replaced", [other])
    await world.until_state("replaced", endpoints=1, ejected=0)
    await dead.start()
    world.put_endpoints("replaced", [dead, other])
    await world.until_state("replaced", endpoints=2, ejected=0)


async def test_an_engine_that_shuts_down_loses_no_request(world: World, engines: list[FakeEngine]) -> None:
    draining, other = engines[:2]
    draining.mode = "shutdown"
    world.add_deployment("drains")
    world.put_endpoints("drains", [draining, other])
    await world.until_state("drains", endpoints=2)
    for stream in (False, True) * 6:
        async with world.chat("drains", stream=stream) as response:
            text = await response.text()
            assert response.status == 200, text
    # It says on /health that it is well; one refusal is enough to leave it alone.
    assert len(draining.bodies) == 1
    await world.until_state("drains", endpoints=1, ejected=1)


async def test_a_failed_attempt_goes_to_an_endpoint_that_was_not_tried(world: World, engines: list[FakeEngine]) -> None:
    for engine in engines[:2]:
        engine.mode = "broken"
    world.add_deployment("untried")
    world.put_endpoints("untried", engines)
    await world.until_state("untried", endpoints=3)
    for _ in range(8):
        assert (await world.ask("untried"))[0] == 200
    assert len(engines[2].bodies) == 8
    await world.until_state("untried", endpoints=3, ejected=0, inFlight=0)


async def test_the_engines_own_error_reaches_the_client(world: World, engines: list[FakeEngine]) -> None:
    engines[0].mode = "broken"
    world.add_deployment("errors")
    world.put_endpoints("errors", engines[:1])
    await world.until_state("errors", endpoints=1)
    status, body = await world.ask("errors")
    assert status == 500
    assert "the engine is broken" in body["error"]["message"]
    assert len(engines[0].bodies) == 3
    engines[0].mode = "too-long"
    status, body = await world.ask("errors")
    assert status == 400
    assert "maximum context length" in body["error"]["message"]
    assert len(engines[0].bodies) == 4
    await world.until_state("errors", endpoints=1, inFlight=0)


@pytest.mark.parametrize("mode", ["error-event", "cut"])
async def test_a_failure_within_a_stream_is_an_error_event(world: World, engines: list[FakeEngine], mode: str) -> None:
    engines[0].mode, engines[0].tokens = mode, 5
    world.add_deployment(mode)
    world.put_endpoints(mode, engines[:1])
    await world.until_state(mode, endpoints=1)
    async with world.chat(mode, stream=True) as response:
        assert response.status == 200
        text = await response.text()
    assert '"0 "' in text
    assert '"error"' in text
    assert '"4 "' not in text
    assert len(engines[0].bodies) == 1
    await world.until_state(mode, endpoints=1, inFlight=0)
