"""The requests that wait for an endpoint of one deployment: first in, first out for a client, in turn between clients.

Pure but for the future by which a request learns its turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from .requests import ClientRequest
from .unavailable import Unavailable


@dataclass(slots=True, eq=False)
class Ticket:
    """One waiting request. `turn` gets the member that was chosen and counted for it, or why it is given up."""

    request: ClientRequest
    since: float
    """When it began to wait, in seconds of the event loop."""
    turn: asyncio.Future[str | Unavailable]
    size: int = 0
    """Bytes of its body."""

    @property
    def client(self) -> str:
        """Name of the client's key."""
        return self.request.client


class Line:
    """The waiting requests of one deployment."""

    def __init__(self) -> None:
        self._by_client: dict[str, deque[Ticket]] = {}
        """In the order of turns: who was served goes to the end."""
        self._length = 0
        self.sizes: Counter[str] = Counter()
        """Client → bytes of its requests in here."""

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Ticket]:
        return (ticket for tickets in self._by_client.values() for ticket in tickets)

    def add(self, ticket: Ticket) -> None:
        """Put it at the end of its client's requests; one that was tried already goes first, as it had its turn."""
        tickets = self._by_client.setdefault(ticket.client, deque())
        if ticket.request.tried:
            tickets.appendleft(ticket)
        else:
            tickets.append(ticket)
        self._length += 1
        self.sizes[ticket.client] += ticket.size

    def discard(self, ticket: Ticket) -> bool:
        """Forget it and return whether it was here."""
        tickets = self._by_client.get(ticket.client)
        if tickets is None or ticket not in tickets:
            return False
        tickets.remove(ticket)
        self._left(ticket)
        if not tickets:
            del self._by_client[ticket.client]
        return True

    def offers(self) -> Iterator[Ticket]:
        """Yield who may go next, in the order of turns: of each client those that were tried, then its first other one.

        A request that was tried may wait for one certain endpoint; it must not keep its client from the others.
        """
        for tickets in self._by_client.values():
            for ticket in tickets:
                yield ticket
                if not ticket.request.tried:
                    break

    def serve(self, ticket: Ticket) -> None:
        """Take out a request that was offered; its client's other ones go behind those of the other clients."""
        tickets = self._by_client.pop(ticket.client)
        tickets.remove(ticket)
        self._left(ticket)
        if tickets:
            self._by_client[ticket.client] = tickets

    def of(self, client: str) -> Iterator[Ticket]:
        """Yield the requests of a client."""
        return iter(self._by_client.get(client, ()))

    def oldest(self, default: float) -> float:
        """Return when the longest waiting request began to wait."""
        return min((ticket.since for ticket in self), default=default)

    def crowder(self, client: str) -> Ticket | None:
        """Return whom a newcomer of `client` may push out of a full line: the last one of who has most in it.

        None when the newcomer's client would then be the one that has most.
        """
        tickets = max(self._by_client.values(), key=len, default=None)
        if tickets is None or len(tickets) <= len(self._by_client.get(client, ())) + 1:
            return None
        return tickets[-1]

    def _left(self, ticket: Ticket) -> None:
        self._length -= 1
        self.sizes[ticket.client] -= ticket.size
        if not self.sizes[ticket.client]:
            # Clients come and go for months, as keys do.
            del self.sizes[ticket.client]
