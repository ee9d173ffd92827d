"""Workers: take a key, reconcile it, decide what its outcome means for the queue."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gemma_operator.api.errors import ApiError, Terminal, Transient
from gemma_operator.cluster import telemetry
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.store import Key
from gemma_operator.controller.queue import WorkQueue
from gemma_operator.reconcile.deployment import Outcome

Reconcile = Callable[[Key], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an error means: its word in metrics, and when to try again (`None`: back-off; `never`: not at all)."""

    result: str
    retry_after: float | None = None
    never: bool = False
    unexpected: bool = False


def judge(error: Exception) -> Verdict:
    """The one place where errors become requeues and log levels."""
    match error:
        case Terminal():
            return Verdict(result="terminal", never=True)
        case ApiError(status=409):
            # Somebody wrote first; the watch brings the newer object in a moment.
            return Verdict(result="conflict")
        case Transient():
            return Verdict(result="transient", retry_after=error.retry_after)
        case _:
            return Verdict(result="error", unexpected=True)


async def work(queue: WorkQueue[Key], reconcile: Reconcile, *, kind: str) -> None:
    """Reconcile keys of a queue for ever, one at a time."""
    while True:
        key = await queue.get()
        started = time.perf_counter()
        telemetry.ACTIVE_WORKERS.labels(queue=queue.name).inc()
        try:
            result = await _one(queue, reconcile, key, kind=kind)
        finally:
            telemetry.ACTIVE_WORKERS.labels(queue=queue.name).dec()
            queue.done(key)
        telemetry.RECONCILES.labels(queue=queue.name, result=result).inc()
        telemetry.RECONCILE_SECONDS.labels(queue=queue.name).observe(time.perf_counter() - started)


async def _one(queue: WorkQueue[Key], reconcile: Reconcile, key: Key, *, kind: str) -> str:
    about = {"kind": kind, "metadata": {"namespace": key[0], "name": key[1]}}
    try:
        outcome = await reconcile(key)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        verdict = judge(error)
        if verdict.never:
            queue.forget(key)
            logger(about).error("stopped: %s", error)
            return verdict.result
        delay = queue.retry(key, after=verdict.retry_after)
        if verdict.unexpected:
            logger(about).error("unexpected error, again in %.1f s", delay, exc_info=error)
        else:
            logger(about).warning("%s; again in %.1f s", error, delay)
        return verdict.result
    queue.forget(key)
    if outcome.requeue_after is not None:
        queue.add_after(key, outcome.requeue_after)
    return "success"
