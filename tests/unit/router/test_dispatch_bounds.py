"""For how long and how many requests wait, and what those beyond are told."""

from __future__ import annotations

import asyncio

import pytest
from gemma_router import dispatch
from gemma_router.endpoints import Member
from gemma_router.requests import ClientRequest
from gemma_router.routes import Route
from gemma_router.unavailable import Unavailable

from tests.unit.router.dispatching import TWO, A, begin, dispatcher, held


async def test_the_bound_counts_over_all_attempts_and_the_message_helps() -> None:
    router, request = dispatcher(seconds=0.05), ClientRequest("me")
    words = r"'chat' has no endpoint.*waited 0.05 s.*starting one takes about 180 s.*again in about 1[78]\d s"
    with pytest.raises(Unavailable, match=words) as raised:
        await router.pick("chat", request)
    assert raised.value.reason == "timeout"
    assert 170 <= raised.value.retry_after <= 180
    assert request.waited["chat"] > 0.04
    with pytest.raises(Unavailable):
        await router.pick("chat", request)
    assert router.waiting("chat") == 0


async def test_the_route_says_how_long_to_wait_and_how_long_a_start_takes() -> None:
    router = dispatcher(route=Route("chat", hold_seconds=0.01, startup_seconds=42))
    with pytest.raises(Unavailable, match=r"waited 0.01 s.*takes about 42 s"):
        await router.pick("chat", ClientRequest("me"))


OFF = Route("chat", hold_seconds=0, switched_off=True)
SWITCHED_OFF = r"'chat' is switched off: it has 0 replicas by its spec.*kubectl scale gdep chat --replicas=1"


async def test_nothing_waits_for_what_is_switched_off() -> None:
    router = dispatcher(route=OFF)
    with pytest.raises(Unavailable, match=SWITCHED_OFF) as raised:
        await router.pick("chat", ClientRequest("me"))
    assert raised.value.reason == "off"
    assert "starting one takes" not in str(raised.value)
    router.replace({A.id: A}, routes=[OFF])
    assert await router.pick("chat", ClientRequest("me")) == A.id, "what is there still serves"


async def test_what_waits_is_given_up_when_it_is_switched_off_and_a_route_that_holds_waits_again() -> None:
    router = dispatcher(route=Route("chat"))
    _, [waits] = await begin(router, "me", 1)
    router.replace({}, routes=[OFF])
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable, match=SWITCHED_OFF):
            await waits
    router.replace({}, routes=[Route("chat")])
    _, [waits] = await begin(router, "me", 1)
    router.replace({A.id: A}, routes=[Route("chat")])
    assert await waits == A.id


async def test_a_request_for_what_is_switched_off_pushes_nobody_out() -> None:
    router = dispatcher()
    router.replace({}, routes=[OFF, Route("code")])
    _, tasks = await begin(router, "crowd", 2, size=500, deployment="code")
    with pytest.raises(Unavailable, match=SWITCHED_OFF):
        await router.pick("chat", ClientRequest("few", size=100))
    assert router.waiting("code") == 2
    router.remove(["code"])
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_comes_after_a_line_was_empty_is_told_a_whole_start(monkeypatch: pytest.MonkeyPatch) -> None:
    router, clock = dispatcher(limit=1), [1000.0]
    monkeypatch.setattr(dispatch, "_now", lambda: clock[0])
    _, [early] = await begin(router, "me", 1)
    early.cancel()
    await asyncio.gather(early, return_exceptions=True)
    clock[0] += 3600
    _, [late] = await begin(router, "me", 1)
    clock[0] += 60
    with pytest.raises(Unavailable) as raised:
        await router.pick("chat", ClientRequest("me"))
    assert raised.value.retry_after == 120, "180 s for a start, of which 60 have passed"
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)


async def test_who_found_no_memory_began_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    router, clock = dispatcher(), [1000.0]
    monkeypatch.setattr(dispatch, "_now", lambda: clock[0])
    for _ in range(2):
        with pytest.raises(Unavailable, match="no memory for more") as raised:
            await router.pick("chat", ClientRequest("me", size=1001))
        assert raised.value.retry_after == 180
        clock[0] += 60


async def test_a_busy_deployment_says_so() -> None:
    router = dispatcher(A, seconds=0.01, route=TWO)
    await begin(router, "me", 2)
    with pytest.raises(Unavailable, match=r"'chat' is busy: all its 1 endpoints work at their limit"):
        await router.pick("chat", ClientRequest("me"))


async def test_zero_seconds_hold_nothing_and_serve_what_is_there() -> None:
    with pytest.raises(Unavailable):
        await dispatcher(seconds=0).pick("chat", ClientRequest("me"))
    assert await dispatcher(A, seconds=0).pick("chat", ClientRequest("me")) == A.id


async def test_a_full_line_refuses_and_who_leaves_makes_place() -> None:
    router = dispatcher(limit=1)
    waiting = asyncio.create_task(router.pick("chat", ClientRequest("me")))
    await held(router, 1)
    with pytest.raises(Unavailable, match="1 requests wait already") as raised:
        await router.pick("chat", ClientRequest("me"))
    assert raised.value.reason == "full"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert router.waiting("chat") == 0
    second = asyncio.create_task(router.pick("chat", ClientRequest("me")))
    await held(router, 1)
    router.replace({A.id: A})
    assert await second == A.id


async def test_large_requests_are_bounded_by_their_bytes() -> None:
    router = dispatcher()
    waiting = asyncio.create_task(router.pick("chat", ClientRequest("me", size=600)))
    await held(router, 1)
    with pytest.raises(Unavailable, match="no memory for more") as raised:
        await router.pick("chat", ClientRequest("me", size=401))
    assert raised.value.reason == "full"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    second = asyncio.create_task(router.pick("chat", ClientRequest("me", size=1000)))
    await held(router, 1)
    router.replace({A.id: A})
    assert await second == A.id
    third = asyncio.create_task(router.pick("chat", ClientRequest("me", size=1000)))
    assert await third == A.id


async def test_a_client_that_fills_the_line_keeps_nobody_else_out() -> None:
    router = dispatcher(limit=3)
    _, crowd = await begin(router, "crowd", 3)
    _, few = await begin(router, "few", 1)
    with pytest.raises(Unavailable, match="3 requests wait already"):
        await crowd[-1]
    assert router.waiting("chat") == 3
    router.replace({A.id: A})
    assert await few[0] == A.id


async def test_a_client_that_fills_the_memory_keeps_nobody_else_out_of_any_deployment() -> None:
    router = dispatcher(limit=100)
    _, crowd = await begin(router, "crowd", 10, size=100)
    _, few = await begin(router, "few", 1, size=150, deployment="code")
    # The two latest of the crowd leave; whoever would have most itself is refused.
    for last in crowd[-2:]:
        with pytest.raises(Unavailable, match=r"'chat'.*no memory for more") as raised:
            await last
        assert raised.value.reason == "full"
    assert (router.waiting("chat"), router.waiting("code")) == (8, 1)
    with pytest.raises(Unavailable, match="no memory for more"):
        await router.pick("code", ClientRequest("crowd", size=51))
    with pytest.raises(Unavailable, match="no memory for more"):
        await router.pick("code", ClientRequest("few", size=700))
    assert (router.waiting("chat"), router.waiting("code")) == (8, 1)
    code = Member("code", "10.0.0.9", 8000)
    router.replace({A.id: A, code.id: code})
    assert await asyncio.gather(*crowd[:8]) == [A.id] * 8
    assert await few[0] == code.id


async def test_in_a_line_that_is_full_in_both_ways_a_newcomer_takes_the_place_of_no_more_than_it_needs() -> None:
    router = dispatcher(limit=4)
    _, crowd = await begin(router, "crowd", 4, size=250)
    _, few = await begin(router, "few", 1, size=200)
    assert [task.done() for task in crowd] == [False, False, False, True]
    with pytest.raises(Unavailable, match="4 requests wait already"):
        await crowd[3]
    # One leaves for the count, which is not enough for the bytes.
    _, other = await begin(router, "other", 1, size=400)
    assert [task.done() for task in crowd] == [False, True, True, True]
    assert router.waiting("chat") == 3
    router.replace({A.id: A})
    assert list(await asyncio.gather(crowd[0], few[0], other[0])) == [A.id] * 3
    await asyncio.gather(*crowd[1:], return_exceptions=True)
