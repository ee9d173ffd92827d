"""A dispatcher with two endpoints, and requests for it."""

from __future__ import annotations

import asyncio

from gemma_router.dispatch import Bounds, Dispatcher
from gemma_router.endpoints import Member
from gemma_router.load import Sample
from gemma_router.requests import ClientRequest
from gemma_router.routes import Route

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
