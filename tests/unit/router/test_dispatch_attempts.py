"""Further attempts of a request, endpoints that fail and those that leave."""

from __future__ import annotations

import asyncio

import pytest
from gemma_router.ejection import Ejections
from gemma_router.endpoints import Member
from gemma_router.requests import ClientRequest
from gemma_router.unavailable import Unavailable

from tests.unit.router.dispatching import LONG, TWO, A, B, begin, dispatcher, held, report


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
