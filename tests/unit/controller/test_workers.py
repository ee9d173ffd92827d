"""Errors become requeues in one place, and no error ends a worker."""

import asyncio
import contextlib

import pytest
from gemma_operator.api.conditions import Reason
from gemma_operator.api.errors import ApiError, Terminal, Transient
from gemma_operator.cluster.store import Key
from gemma_operator.controller.queue import WorkQueue
from gemma_operator.controller.workers import judge, work
from gemma_operator.reconcile.deployment import Outcome

KEY: Key = ("ns", "chat")


def api_error(status: int, retry_after: float | None = None) -> ApiError:
    return ApiError(status=status, reason="", message="", verb="GET", path="/x", retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "result", "never", "unexpected"),
    [
        (Terminal(Reason.NAME_CONFLICT, "taken"), "terminal", True, False),
        (api_error(409), "conflict", False, False),
        (api_error(500), "transient", False, False),
        (Transient("away"), "transient", False, False),
        (ValueError("bug"), "error", False, True),
    ],
)
def test_every_error_has_its_verdict(error: Exception, result: str, never: bool, unexpected: bool) -> None:
    verdict = judge(error)
    assert (verdict.result, verdict.never, verdict.unexpected) == (result, never, unexpected)


def test_the_servers_retry_after_is_obeyed() -> None:
    assert judge(api_error(429, retry_after=7)).retry_after == 7


async def until(condition: asyncio.Event) -> None:
    await asyncio.wait_for(condition.wait(), timeout=10)


async def test_a_worker_survives_a_bug_and_tries_the_key_again() -> None:
    queue: WorkQueue[Key] = WorkQueue("test")
    attempts: list[Key] = []
    succeeded = asyncio.Event()

    async def reconcile(key: Key) -> Outcome:
        attempts.append(key)
        if len(attempts) == 1:
            raise ValueError("bug")
        succeeded.set()
        return Outcome()

    worker = asyncio.create_task(work(queue, reconcile, kind="Test"))
    queue.add(KEY)
    await until(succeeded)
    worker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await worker
    assert attempts == [KEY, KEY]


async def test_a_terminal_state_is_not_retried_until_something_changes() -> None:
    queue: WorkQueue[Key] = WorkQueue("test")
    attempts: list[Key] = []
    other = asyncio.Event()

    async def reconcile(key: Key) -> Outcome:
        attempts.append(key)
        if key == KEY:
            raise Terminal(Reason.NAME_CONFLICT, "taken")
        other.set()
        return Outcome()

    worker = asyncio.create_task(work(queue, reconcile, kind="Test"))
    queue.add(KEY)
    queue.add(("ns", "other"))
    await until(other)
    worker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await worker
    assert attempts == [KEY, ("ns", "other")]
    assert not queue._later, "nothing may be scheduled for a terminal key"
