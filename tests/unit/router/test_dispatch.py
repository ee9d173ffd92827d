"""Who goes where and when, on a real event loop with times that do not matter."""

from __future__ import annotations

import asyncio

import pytest
from gemma_router.dispatch import Bounds, Dispatcher
from gemma_router.ejection import Ejections
from gemma_router.endpoints import Member
from gemma_router.load import STALE_SECONDS, Sample
from gemma_router.requests import ClientRequest
from gemma_router.routes import Route
from gemma_router.unavailable import Unavailable

A, B = Member("chat", "10.0.0.1", 8000, "pod-a"), Member("chat", "10.0.0.2", 8000, "pod-b")
LONG = 30.0
TWO = Route("chat", max_num_seqs=1)
"""Two requests at an endpoint: one that runs, one in allowance."""


async def never(_: Member) -> bool:
    return False


def dispatcher(*members: Member, seconds: float = LONG, limit: int = 8, route: Route | None = None) -> Dispatcher:
    made = Dispatcher(bounds=Bounds(hold_seconds=seconds, queue=limit, queue_bytes=1000), probe=never)
    made.replace({member.id: member for member in members}, routes=[route] if route else ())
    return made


async def held(router: Dispatcher, count: int) -> None:
    async with asyncio.timeout(LONG):
        while router.waiting("chat") != count:  # noqa: ASYNC110  # a count has no event
            await asyncio.sleep(0)


async def begin(
    router: Dispatcher, client: str, count: int, *, size: int = 0, deployment: str = "chat"
) -> tuple[list[ClientRequest], list[asyncio.Task[str]]]:
    """Begin requests of one client and return when each is placed or waits."""
    requests = [ClientRequest(client, size=size) for _ in range(count)]
    tasks = [asyncio.create_task(router.pick(deployment, request)) for request in requests]
    for _ in range(3):
        await asyncio.sleep(0)
    return requests, tasks


def report(router: Dispatcher, member: Member, *, running: int, waiting: int = 0, age: float = 0.0) -> None:
    at = asyncio.get_running_loop().time() - age
    own = router.in_flight.at(member.id)
    router.sampled(member.id, Sample(running=running, waiting=waiting, kv=0.1, own=own, at=at))


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


async def test_a_further_attempt_waits_for_an_endpoint_that_was_not_tried() -> None:
    router = dispatcher(A, B, route=TWO)
    report(router, B, running=2)
    request = ClientRequest("me")
    assert await router.pick("chat", request) == A.id
    again = asyncio.create_task(router.pick("chat", request))
    await held(router, 1)
    assert router.in_flight.by_member() == {}
    # It keeps no other client from the endpoint that it does not want.
    assert await router.pick("chat", ClientRequest("other")) == A.id
    report(router, B, running=1)
    assert await again == B.id


async def test_a_further_attempt_keeps_no_other_request_of_its_client_from_an_endpoint_that_it_does_not_want() -> None:
    router = dispatcher(A, B, route=TWO)
    report(router, A, running=0)
    report(router, B, running=2)
    request = ClientRequest("me")
    assert await router.pick("chat", request) == A.id
    again = asyncio.create_task(router.pick("chat", request))
    await held(router, 1)
    _, others = await begin(router, "me", 4)
    assert [task.done() for task in others] == [True, True, False, False]
    assert router.in_flight.by_member() == {A.id: 2}
    # It is still the first of its client where it can go.
    report(router, B, running=1)
    assert await again == B.id
    assert router.waiting("chat") == 2


async def test_of_several_further_attempts_each_goes_where_it_was_not_yet() -> None:
    router = dispatcher(A, B, route=TWO)
    was_at_a, was_at_b = ClientRequest("me"), ClientRequest("me")
    report(router, B, running=2)
    assert await router.pick("chat", was_at_a) == A.id
    report(router, A, running=3)
    report(router, B, running=0)
    assert await router.pick("chat", was_at_b) == B.id
    report(router, B, running=3)
    wants_a = asyncio.create_task(router.pick("chat", was_at_b))
    await held(router, 1)
    wants_b = asyncio.create_task(router.pick("chat", was_at_a))
    await held(router, 2)
    report(router, A, running=1)
    assert await wants_a == A.id
    assert not wants_b.done()
    report(router, B, running=1)
    assert await wants_b == B.id


async def test_a_request_that_has_ended_is_not_counted_again() -> None:
    router, request = dispatcher(A, route=TWO), ClientRequest("me")
    router.finished(request)
    with pytest.raises(Unavailable, match="has ended already"):
        await router.pick("chat", request)
    assert router.in_flight.by_member() == {}
    running, _ = await begin(router, "me", 2)
    (ended, _), (lost, next_one) = await begin(router, "me", 2)
    router.finished(ended)
    router.finished(running[0])
    assert await next_one == A.id
    with pytest.raises(Unavailable, match="has ended already"):
        await lost
    assert router.in_flight.by_member() == {A.id: 2}


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


async def test_an_attempt_after_a_refusal_goes_elsewhere_and_moves_the_count() -> None:
    router, request = dispatcher(A, B), ClientRequest("me")
    first = await router.pick("chat", request)
    router.failed(first, "unreachable")
    second = await router.pick("chat", request)
    assert {first, second} == {A.id, B.id}
    assert router.in_flight.by_member() == {second: 1}
    assert router.usable("chat") == [second]
    for _ in range(5):
        assert await router.pick("chat", ClientRequest("other")) == second


async def test_an_endpoint_that_leaves_is_not_chosen_while_its_request_still_counts() -> None:
    router, request = dispatcher(A), ClientRequest("me")
    await router.pick("chat", request)
    router.replace({B.id: B})
    assert await router.pick("chat", ClientRequest("other")) == B.id
    assert router.in_flight.by_member() == {A.id: 1, B.id: 1}


async def test_failures_that_say_nothing_and_members_that_left_are_ignored() -> None:
    router = dispatcher(A)
    router.failed("chat@10.9.9.9:8000", "unreachable")
    router.failed(A.id, "")
    assert router.usable("chat") == [A.id]


async def test_a_probe_that_is_answered_brings_the_member_back() -> None:
    answers = iter([False, True])
    back: asyncio.Future[Member] = asyncio.get_running_loop().create_future()

    async def probe(_: Member) -> bool:
        return next(answers)

    ejections = Ejections(probe=probe, restored=back.set_result)
    ejections.eject(A, "test", first_probe_after=0)
    assert A.id in ejections
    async with asyncio.timeout(LONG):
        assert await back == A
    assert A.id not in ejections


async def test_another_pod_at_the_address_is_not_ejected() -> None:
    router = dispatcher(A)
    router.failed(A.id, "unreachable")
    assert router.usable("chat") == []
    router.replace({A.id: A})
    assert router.usable("chat") == []
    router.replace({A.id: Member("chat", "10.0.0.1", 8000, "another-pod")})
    assert router.usable("chat") == [A.id]
