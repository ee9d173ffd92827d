"""Who goes where and when, on a real event loop with times that do not matter."""

from __future__ import annotations

import asyncio

import pytest
from gemma_router.endpoints import Member
from gemma_router.load import STALE_SECONDS
from gemma_router.requests import ClientRequest
from gemma_router.unavailable import Unavailable

from tests.unit.router.dispatching import TWO, A, B, begin, dispatcher, held, report


async def test_a_waiting_request_gets_the_endpoint_that_appears() -> None:
    router, request = dispatcher(), ClientRequest("me")
    waiting = asyncio.create_task(router.pick("chat", request))
    await held(router, 1)
    router.replace({A.id: A})
    assert await waiting == A.id
    assert router.in_flight.at(A.id) == 1
    router.finished(request)
    router.finished(request)
    assert router.in_flight.by_member() == {}
    assert router.waiting("chat") == 0


async def test_a_change_of_another_deployment_releases_nobody() -> None:
    router, other = dispatcher(), Member("code", "10.0.0.9", 8000)
    waiting = asyncio.create_task(router.pick("chat", ClientRequest("me")))
    await held(router, 1)
    router.replace({other.id: other})
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    router.replace({other.id: other, A.id: A})
    assert await waiting == A.id


async def test_an_endpoint_gets_what_it_can_run_soon_and_a_slot_wakes_one_request() -> None:
    router = dispatcher(A, route=TWO)
    requests, tasks = await begin(router, "me", 5)
    assert [task.done() for task in tasks] == [True, True, False, False, False]
    assert router.waiting("chat") == 3
    router.finished(requests[0])
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, True, True, False, False]
    assert router.in_flight.at(A.id) == 2


async def test_a_new_replica_takes_from_the_line_at_once() -> None:
    router = dispatcher(A, route=TWO)
    _, tasks = await begin(router, "me", 5)
    router.replace({A.id: A, B.id: B}, routes=[TWO])
    await asyncio.gather(*tasks[:4])
    assert router.in_flight.by_member() == {A.id: 2, B.id: 2}
    assert router.waiting("chat") == 1


async def test_clients_take_turns() -> None:
    router = dispatcher(A, route=TWO)
    running, _ = await begin(router, "crowd", 2)
    _, crowd = await begin(router, "crowd", 3)
    _, few = await begin(router, "few", 1)
    router.finished(running[0])
    router.finished(running[1])
    await asyncio.sleep(0)
    assert [task.done() for task in crowd] == [True, False, False]
    assert few[0].done()


async def test_nobody_overtakes_who_waits() -> None:
    router = dispatcher(A, route=TWO)
    running, _ = await begin(router, "me", 3)
    # The slot is free in the same step in which another request comes.
    router.finished(running[0])
    late = asyncio.create_task(router.pick("chat", ClientRequest("other")))
    await held(router, 1)
    assert not late.done()


async def test_what_the_engine_reports_beyond_the_own_count_takes_room_until_it_is_stale() -> None:
    router = dispatcher(A, B, route=TWO)
    report(router, A, running=2)
    _, tasks = await begin(router, "me", 3)
    assert [task.done() for task in tasks] == [True, True, False]
    assert router.in_flight.by_member() == {B.id: 2}
    assert router.unsampled("chat") == 1
    report(router, A, running=1)
    assert await tasks[2] == A.id
    report(router, A, running=9, age=STALE_SECONDS + 1)
    assert router.unsampled("chat") == 2
    assert await router.pick("chat", ClientRequest("me")) == A.id


async def test_a_sample_of_an_endpoint_that_left_is_dropped() -> None:
    router = dispatcher(A, route=TWO)
    report(router, A, running=9)
    router.replace({}, routes=[TWO])
    report(router, A, running=9)
    router.replace({A.id: A}, routes=[TWO])
    assert router.unsampled("chat") == 1
    assert await router.pick("chat", ClientRequest("me")) == A.id


async def test_a_turn_that_comes_as_the_client_leaves_is_passed_on() -> None:
    router = dispatcher(A, route=TWO)
    running, _ = await begin(router, "me", 2)
    (leaves,), (left,) = await begin(router, "me", 1)
    _, (stays,) = await begin(router, "me", 1)
    left.cancel()
    router.finished(running[0])
    assert await stays == A.id
    router.finished(leaves)
    assert router.in_flight.at(A.id) == 2
    _, (next_one,) = await begin(router, "me", 1)
    router.finished(running[1])
    next_one.cancel()
    await asyncio.gather(left, next_one, return_exceptions=True)
    assert router.waiting("chat") == 0


async def test_a_router_that_stops_gives_up_who_waits_and_who_comes() -> None:
    router = dispatcher()
    waiting = asyncio.create_task(router.pick("chat", ClientRequest("me")))
    await held(router, 1)
    router.stop()
    with pytest.raises(Unavailable, match="this router pod stops") as raised:
        await waiting
    assert raised.value.reason == "stopping"
    with pytest.raises(Unavailable):
        await router.pick("chat", ClientRequest("me"))
    router.replace({A.id: A})
    assert await router.pick("chat", ClientRequest("me")) == A.id


async def test_a_call_of_no_client_neither_waits_nor_counts() -> None:
    with pytest.raises(Unavailable):
        await dispatcher().pick("chat", None)
    router = dispatcher(A, route=TWO)
    assert [await router.pick("chat", None) for _ in range(5)] == [A.id] * 5
    assert router.in_flight.by_member() == {}
