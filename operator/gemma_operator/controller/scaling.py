"""The scaler's clock: who is looked at, and when."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gemma_operator.api.errors import OperatorError
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.scrape import Scraper
from gemma_operator.cluster.store import Key
from gemma_operator.controller.queue import WorkQueue
from gemma_operator.reconcile.scaler import Subject, look, subjects
from gemma_operator.reconcile.signals import RouterView, read_routers
from gemma_operator.reconcile.world import World

ASLEEP_SECONDS = 1.0
"""A request for something that sleeps must not wait for the next round of everything."""


async def run(world: World, queue: WorkQueue[Key], *, every: float) -> None:
    """Look at everything that is awake every so many seconds, and each second at what sleeps."""
    world.leading_since = datetime.now(UTC)
    scraper = Scraper()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_rounds(world, queue, scraper, asleep=False, every=every))
            group.create_task(_rounds(world, queue, scraper, asleep=True, every=ASLEEP_SECONDS))
    finally:
        await scraper.close()


async def _rounds(world: World, queue: WorkQueue[Key], scraper: Scraper, *, asleep: bool, every: float) -> None:
    """Each router has rounds of its own: one that does not answer keeps nobody else waiting."""
    running: dict[Key | None, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as group:
        while True:
            started = time.monotonic()
            by_router: dict[Key | None, list[Subject]] = {}
            for subject in subjects(world, asleep=asleep):
                by_router.setdefault(subject.router, []).append(subject)
            running = {router: task for router, task in running.items() if not task.done()}
            for router in by_router.keys() - running.keys():
                running[router] = group.create_task(one_round(world, queue, scraper, by_router[router]))
            await asyncio.sleep(max(0.05, started + every - time.monotonic()))


async def one_round(world: World, queue: WorkQueue[Key], scraper: Scraper, chosen: list[Subject]) -> None:
    """Look at some of the fleet: their routers first, then all of them at once."""
    routers = await _views(world, scraper, chosen)

    async def one(subject: Subject) -> None:
        view = routers.get(subject.router) if subject.router else None
        try:
            changed = await look(world, scraper, subject, now=time.monotonic(), router=view)
        except OperatorError as error:
            logger(subject.obj).warning("scaling: %s; again in a moment", error)
        except Exception:
            logger(subject.obj).exception("scaling: unexpected error; the number of replicas stays")
        else:
            if changed:
                queue.add(subject.key)

    await asyncio.gather(*(one(subject) for subject in chosen))


async def _views(world: World, scraper: Scraper, chosen: Sequence[Subject]) -> Mapping[Key, RouterView]:
    """What their routers report; none of it after an unexpected error: `look` takes that for unknown, not for rest."""
    keys = {subject.router for subject in chosen if subject.router}
    try:
        return await read_routers(world, scraper, keys)
    except Exception:
        logger().exception(
            "scaling: unexpected error while reading router %s; what it holds counts as unknown, and it is asked again "
            "in the next round",
            ", ".join("/".join(key) for key in sorted(keys)),
        )
        return {}
