"""Late binding through the real LiteLLM: an engine gets what it can run soon, the rest waits in the router."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.router.fake_engine import FakeEngine
from tests.integration.router.world import HOLD_QUEUE, World, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")
SEQUENCES, SLOTS = 3, 4
"""What the route says, and that with the allowance."""


async def crowd(world: World, name: str, count: int, *, key: str | None = None) -> list[asyncio.Task[int]]:
    async def ask() -> int:
        async with world.chat(name, key=key) as response:
            await response.read()
            return int(response.status)

    return [asyncio.create_task(ask()) for _ in range(count)]


async def test_the_rest_waits_in_the_router_and_a_new_replica_takes_it(world: World, engines: list[FakeEngine]) -> None:
    old, new = engines[:2]
    old.mode = new.mode = "wait"
    world.add_deployment("late", maxNumSeqs=SEQUENCES, holdTimeoutSeconds=60)
    world.put_endpoints("late", [old])
    await world.until_state("late", endpoints=1)
    asked = await crowd(world, "late", 2 * SLOTS + 2)
    await world.until_state("late", inFlight=SLOTS, held=SLOTS + 2, heldBusy=SLOTS + 2, heldNoEndpoint=0)
    await eventually(lambda: old.running == SLOTS)
    world.put_endpoints("late", [old, new])
    await eventually(lambda: new.running == SLOTS)
    await world.until_state("late", inFlight=2 * SLOTS, held=2)
    # A slot that gets free takes the next one: engines and router never have more than the slots.
    new.go_on.set()
    await world.until_state("late", inFlight=SLOTS, held=0)
    assert len(old.bodies) == SLOTS
    old.go_on.set()
    assert set(await asyncio.gather(*asked)) == {200}
    await world.until_state("late", inFlight=0, held=0)


async def test_what_the_engine_reports_of_others_takes_their_room(world: World, engines: list[FakeEngine]) -> None:
    full, other = engines[:2]
    full.metrics = other.metrics = "vllm"
    full.foreign, full.slots = SLOTS, SEQUENCES
    full.mode = other.mode = "wait"
    world.add_deployment("foreign", maxNumSeqs=SEQUENCES, holdTimeoutSeconds=60)
    world.put_endpoints("foreign", [full, other])
    await world.until_state("foreign", endpoints=2, unsampled=0)
    asked = await crowd(world, "foreign", SLOTS + 1)
    await world.until_state("foreign", inFlight=SLOTS, held=1)
    await eventually(lambda: other.running == SLOTS)
    assert full.running == 0
    full.foreign = 0
    await eventually(lambda: full.running == 1, what="the next sample shows the room")
    full.go_on.set()
    other.go_on.set()
    assert set(await asyncio.gather(*asked)) == {200}


async def test_an_engine_without_memory_left_gets_no_more(world: World, engines: list[FakeEngine]) -> None:
    tight = engines[0]
    tight.metrics, tight.kv = "vllm", 0.97
    tight.foreign, tight.slots = 2, 1
    world.add_deployment("memory", maxNumSeqs=8, holdTimeoutSeconds=60)
    world.put_endpoints("memory", [tight])
    await world.until_state("memory", endpoints=1, unsampled=0)
    asked = await crowd(world, "memory", 1)
    await world.until_state("memory", held=1, heldBusy=1)
    tight.kv = 0.5
    assert await asked[0] == 200


async def test_clients_take_turns_in_their_own_order(world: World, engines: list[FakeEngine]) -> None:
    one = engines[0]
    one.mode = "wait"
    few = "sk-gemma-of-a-small-client"
    world.write_keys({"default": world.client_key, "few": few})
    world.add_deployment("fair", maxNumSeqs=1, holdTimeoutSeconds=60)
    world.put_endpoints("fair", [one])
    await world.until_state("fair", endpoints=1)
    running = await crowd(world, "fair", 2)
    await eventually(lambda: one.running == 2)
    behind = await crowd(world, "fair", 4)
    await world.until_state("fair", held=4)

    # The key files are looked at once a second.
    await world.until_known(few)
    late = await crowd(world, "fair", 1, key=few)
    await world.until_state("fair", held=5)
    # Ends the running two: the next two are the first of each client.
    one.go_on.set()
    one.go_on.clear()
    await asyncio.wait(running)
    await eventually(lambda: one.running == 2)
    await world.until_state("fair", held=3)
    one.go_on.set()
    one.go_on.clear()
    assert await late[0] == 200
    await eventually(lambda: one.running == 2)
    one.go_on.set()
    assert set(await asyncio.gather(*behind)) == {200}
    world.write_keys({"default": world.client_key})


async def test_a_crowd_that_leaves_the_line_leaves_nothing(world: World, engines: list[FakeEngine]) -> None:
    one, two = engines[:2]
    one.mode = "wait"
    world.add_deployment("fickle", maxNumSeqs=SEQUENCES, holdTimeoutSeconds=60)
    world.put_endpoints("fickle", [one])
    await world.until_state("fickle", endpoints=1)
    running = await crowd(world, "fickle", SLOTS)
    await world.until_state("fickle", inFlight=SLOTS)
    leaving = await crowd(world, "fickle", HOLD_QUEUE)
    await world.until_state("fickle", held=HOLD_QUEUE)
    for task in leaving[1:]:
        task.cancel()
    await world.until_state("fickle", held=1)
    world.put_endpoints("fickle", [one, two])
    assert await leaving[0] == 200
    assert len(two.bodies) == 1
    one.go_on.set()
    assert set(await asyncio.gather(*running)) == {200}
    await world.until_state("fickle", inFlight=0, held=0)


async def test_a_broken_endpoint_does_not_swallow_what_waits(world: World, engines: list[FakeEngine]) -> None:
    broken, good = engines[:2]
    broken.mode, good.mode = "broken", "wait"
    world.add_deployment("hole", maxNumSeqs=SEQUENCES, holdTimeoutSeconds=60)
    world.put_endpoints("hole", [broken, good])
    await world.until_state("hole", endpoints=2)
    asked = await crowd(world, "hole", SLOTS + 3)
    # Whoever was refused by the broken one waits for the good one, which is full.
    await world.until_state("hole", inFlight=SLOTS, held=3)
    await eventually(lambda: good.running == SLOTS)
    good.go_on.set()
    assert set(await asyncio.gather(*asked)) == {200}


async def test_two_router_pods_share_engines_and_each_knows_what_it_holds(
    world: World, second: World, engines: list[FakeEngine]
) -> None:
    for engine in engines:
        engine.mode, engine.metrics, engine.slots = "wait", "vllm", SEQUENCES
    world.put_router_pods(2)
    world.add_deployment("pods", maxNumSeqs=SEQUENCES, holdTimeoutSeconds=60)
    world.put_endpoints("pods", engines[:2])
    for router in (world, second):
        await router.until_state("pods", endpoints=2, unsampled=0)
    asked = [*await crowd(world, "pods", 6), *await crowd(second, "pods", 6)]
    # Each pod may take the last free slot before it sees that the other one took it.
    full, overfull = range(SLOTS, SLOTS + 2), SLOTS + 1
    await eventually(lambda: all(engine.running in full for engine in engines[:2]), what="both engines are full")
    held = [(await router.state())["deployments"]["pods"]["held"] for router in (world, second)]
    assert 12 - 2 * overfull <= sum(held) <= 12 - 2 * SLOTS
    world.put_endpoints("pods", engines)
    await eventually(lambda: sum(engine.running for engine in engines) == 12, what="the new one takes what waits")
    for engine in engines:
        assert engine.running <= overfull
        engine.go_on.set()
    assert set(await asyncio.gather(*asked)) == {200}
    world.put_router_pods(1)
