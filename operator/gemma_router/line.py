"""The requests that wait for an endpoint of one deployment: first in, first out for a client, in turn between clients.

Pure but for the future by which a request learns its turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
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

    def discard(self, ticket: Ticket) -> bool:
        """Forget it and return whether it was here."""
        tickets = self._by_client.get(ticket.client)
        if tickets is None or ticket not in tickets:
            return False
        tickets.remove(ticket)
        self._length -= 1
        if not tickets:
            del self._by_client[ticket.client]
        return True

    def heads(self) -> list[Ticket]:
        """Return the next request of each client, in the order of turns."""
        return [tickets[0] for tickets in self._by_client.values()]

    def serve(self, ticket: Ticket) -> None:
        """Take out the next request of a client, whose other requests go behind those of the other clients."""
        tickets = self._by_client.pop(ticket.client)
        tickets.remove(ticket)
        self._length -= 1
        if tickets:
            self._by_client[ticket.client] = tickets

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
