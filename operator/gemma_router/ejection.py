"""Endpoints that are taken out although Kubernetes still lists them, and how they come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from .endpoints import Member

log = logging.getLogger(__name__)

PROBE_SECONDS = (0.5, 5.0)
"""Between probes: doubling from the first to the second."""
SHUTDOWN_SECONDS = 30.0
"""An engine that drains says that it is healthy, so probing it begins only when it must have gone."""


class Ejections:
    """Ejected members by id. One comes back when a probe succeeds, or when its slice entry goes or is another pod.

    A lost node keeps its endpoints for about 40 s, and a dying process refuses connections before its pod is marked.
    """

    def __init__(self, *, probe: Callable[[Member], Awaitable[bool]], restored: Callable[[Member], None]) -> None:
        self._probe = probe
        self._restored = restored
        self._ejected: dict[str, tuple[Member, asyncio.Task[None]]] = {}

    def __contains__(self, member_id: object) -> bool:
        return member_id in self._ejected

    def eject(self, member: Member, why: str, *, first_probe_after: float = PROBE_SECONDS[0]) -> None:
        """Take `member` out now; the first probe comes `first_probe_after` seconds later."""
        if member.id in self._ejected:
            return
        log.warning("endpoint %s ejected: %s", member.id, why)
        task = asyncio.create_task(self._watch(member, first_probe_after), name=f"probe {member.id}")
        self._ejected[member.id] = member, task

    def keep_only(self, members: Mapping[str, Member]) -> None:
        """Forget ejected members that Kubernetes no longer lists, or whose address belongs to another pod now."""
        for member_id, (member, task) in list(self._ejected.items()):
            if members.get(member_id) != member:
                task.cancel()
                del self._ejected[member_id]

    async def _watch(self, member: Member, delay: float) -> None:
        await asyncio.sleep(delay)
        pause, most = PROBE_SECONDS
        while not await self._probe(member):
            await asyncio.sleep(pause)
            pause = min(pause * 2, most)
        self._ejected.pop(member.id, None)
        log.warning("endpoint %s answers again", member.id)
        self._restored(member)
