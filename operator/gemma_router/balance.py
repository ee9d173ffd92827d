"""Which endpoint gets the next request, and how many each one has. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence


def choose(
    candidates: Sequence[str],
    *,
    load: Callable[[str], int],
    pick: Callable[[Sequence[str]], str] = random.choice,
) -> str:
    """Return the candidate with the least load; ties at random.

    `candidates` must not be empty. Ties at random, because the first of a list would get every request while idle.
    """
    loads = [load(candidate) for candidate in candidates]
    least = min(loads)
    return pick([candidate for candidate, found in zip(candidates, loads, strict=True) if found == least])


class InFlight:
    """Requests in flight by endpoint, of this process. Opened and closed per request; both are idempotent."""

    def __init__(self) -> None:
        self._by_request: dict[object, str] = {}
        self._by_member: Counter[str] = Counter()

    def open(self, request: object, member: str) -> None:
        """Count `request` at `member`; a further attempt of the same request moves it."""
        self.close(request)
        self._by_request[request] = member
        self._by_member[member] += 1

    def close(self, request: object) -> str | None:
        """Forget `request` and return the member where it was counted."""
        member = self._by_request.pop(request, None)
        if member is None:
            return None
        self._by_member[member] -= 1
        if not self._by_member[member]:
            # Endpoints come and go for months: zeros must not pile up.
            del self._by_member[member]
        return member

    def at(self, member: str) -> int:
        """Return how many requests `member` has."""
        return self._by_member.get(member, 0)

    def by_member(self) -> dict[str, int]:
        """Return member → count, endpoints that have left included while requests still run there."""
        return dict(self._by_member)
