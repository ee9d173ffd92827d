"""The order in which waiting requests get their turn."""

from __future__ import annotations

import asyncio
from collections import Counter

from gemma_router.line import Line, Ticket
from gemma_router.requests import ClientRequest
from hypothesis import given
from hypothesis import strategies as st


def ticket(client: str, *, tried: bool = False, since: float = 0.0, size: int = 0) -> Ticket:
    request = ClientRequest(client, tried={"chat@10.0.0.1:8000"} if tried else set())
    loop = asyncio.new_event_loop()
    loop.close()
    return Ticket(request, since=since, turn=asyncio.Future(loop=loop), size=size)


def line_of(*tickets: Ticket) -> Line:
    line = Line()
    for item in tickets:
        line.add(item)
    return line


def drain(line: Line) -> list[Ticket]:
    """Serve whoever is next, until nobody is left."""
    served = []
    while line:
        served.append(next(line.offers()))
        line.serve(served[-1])
    return served


def test_clients_take_turns_and_each_is_served_in_its_order() -> None:
    crowd = [ticket("crowd") for _ in range(4)]
    few = [ticket("few") for _ in range(2)]
    served = drain(line_of(*crowd, *few))
    assert [item.client for item in served] == ["crowd", "few", "crowd", "few", "crowd", "crowd"]
    assert [item for item in served if item.client == "crowd"] == crowd
    assert [item for item in served if item.client == "few"] == few


def test_a_further_attempt_goes_before_the_other_requests_of_its_client() -> None:
    first, again, other = ticket("a"), ticket("a", tried=True), ticket("b")
    assert drain(line_of(first, other, again)) == [again, other, first]


def test_who_was_tried_keeps_no_other_of_its_client_from_a_turn() -> None:
    new, newer, other = ticket("a"), ticket("a"), ticket("b")
    again, once_more = ticket("a", tried=True), ticket("a", tried=True)
    line = line_of(new, newer, other, again, once_more)
    assert list(line.offers()) == [once_more, again, new, other]
    line.serve(new)
    assert list(line.offers()) == [other, once_more, again, newer]


def test_bytes_are_counted_by_client_while_they_wait() -> None:
    first, second = ticket("a", size=5), ticket("a", size=7)
    line = line_of(first, second, ticket("b", size=1))
    assert line.sizes == {"a": 12, "b": 1}
    assert list(line.of("a")) == [first, second]
    line.serve(first)
    assert line.sizes == {"a": 7, "b": 1}
    line.discard(second)
    line.discard(second)
    assert dict(line.sizes) == {"b": 1}
    assert list(line.of("a")) == []


def test_who_leaves_is_forgotten_and_only_once() -> None:
    stays, leaves = ticket("a"), ticket("a")
    line = line_of(stays, leaves)
    assert line.discard(leaves)
    assert not line.discard(leaves)
    assert not line.discard(ticket("nobody"))
    assert (len(line), list(line)) == (1, [stays])
    assert line.discard(stays)
    assert list(line.offers()) == []


def test_the_oldest_is_not_always_at_the_head() -> None:
    line = line_of(ticket("a", since=5.0), ticket("b", since=3.0), ticket("a", tried=True, since=9.0))
    assert line.oldest(100.0) == 3.0
    assert Line().oldest(100.0) == 100.0


def test_a_newcomer_pushes_out_the_last_of_who_has_most_unless_it_would_have_most_itself() -> None:
    crowd = [ticket("crowd") for _ in range(3)]
    line = line_of(*crowd, ticket("few"))
    assert line.crowder("crowd") is None
    assert line.crowder("few") is crowd[-1]
    assert line.crowder("new") is crowd[-1]
    assert line_of(ticket("a"), ticket("b")).crowder("b") is None
    assert line_of(ticket("a")).crowder("new") is None


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_nobody_waits_for_more_than_one_turn_of_each_other_client(clients: list[str]) -> None:
    tickets = [ticket(client) for client in clients]
    served = drain(line_of(*tickets))
    assert sorted(map(id, served)) == sorted(map(id, tickets))
    left = Counter(clients)
    since: dict[str, int] = dict.fromkeys(left, 0)
    for turn, item in enumerate(served):
        assert turn - since[item.client] <= len(left)
        since[item.client] = turn + 1
        left[item.client] -= 1
