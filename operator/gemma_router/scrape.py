"""Reads the metrics of every endpoint about once a second: running, waiting and KV use, as the engine counts them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping

import aiohttp

from .endpoints import Member
from .load import Sample, parse

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
TIMEOUT = aiohttp.ClientTimeout(total=2, sock_connect=1.5)
"""A connection lost on the way is tried again by the kernel after one second."""
AT_ONCE = 16
"""Scrapes under way together; a hung endpoint takes one of these places for two seconds."""
FAILURES_TO_TELL = 5
SILENCES_TO_REFUSE = 2
"""Connections in a row that nothing answers: a busy engine's kernel still accepts them, a lost node's does not."""


class Scraper:
    """One task for each member. `sampled` gets each sample; what accepts no connection is told to `refused`."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        engine_key: str,
        own: Callable[[str], int],
        sampled: Callable[[str, Sample], None],
        refused: Callable[[str], None],
    ) -> None:
        self._session = session
        # vLLM keeps /metrics open; an engine or a proxy before it that asks for the key gets it.
        self._headers = {"Authorization": f"Bearer {engine_key}"}
        self._own, self._sampled, self._refused = own, sampled, refused
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, tuple[Member, asyncio.Task[None]]] = {}

    def replace(self, members: Mapping[str, Member]) -> None:
        """Scrape exactly these. A new member is read at once."""
        for member_id, (member, task) in list(self._tasks.items()):
            if members.get(member_id) != member:
                task.cancel()
                del self._tasks[member_id]
        for member_id, member in members.items():
            if member_id not in self._tasks:
                task = asyncio.create_task(self._watch(member), name=f"metrics of {member_id}")
                self._tasks[member_id] = member, task

    async def _watch(self, member: Member) -> None:
        failures = silences = 0
        while True:
            async with self._places:
                why, silent = await self._once(member)
            failures = failures + 1 if why else 0
            silences = silences + 1 if silent else 0
            if silences >= SILENCES_TO_REFUSE:
                self._refused(member.id)
            if failures == FAILURES_TO_TELL:
                log.warning(
                    "metrics of %s cannot be read (%s): it is judged by the requests that this router pod has there",
                    member.id,
                    why,
                )
            # Router pods and members that began together must not stay in step.
            await asyncio.sleep(EVERY_SECONDS * random.uniform(0.9, 1.1))

    async def _once(self, member: Member) -> tuple[str, bool]:
        """Take one sample; return why there is none, and whether nothing answers at that address."""
        before = self._own(member.id)
        try:
            async with self._session.get(f"{member.url}/metrics", headers=self._headers, timeout=TIMEOUT) as response:
                body = await response.read()
        except aiohttp.ClientConnectorError as error:
            self._refused(member.id)
            return str(error), False
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return repr(error), isinstance(error, aiohttp.ConnectionTimeoutError)
        if response.status != 200:
            return f"HTTP {response.status}", False
        found = parse(body)
        if found is None:
            return "no vLLM metrics in the answer", False
        running, waiting, kv = found
        # A request that began or ended during the scrape may be in the engine's numbers: then it is no other pod's.
        own = max(before, self._own(member.id))
        self._sampled(
            member.id, Sample(running=running, waiting=waiting, kv=kv, own=own, at=asyncio.get_running_loop().time())
        )
        return "", False
