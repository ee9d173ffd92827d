"""The work queue keeps the promises of client-go's."""

import asyncio

import pytest
from gemma_operator.controller.queue import MAX_DELAY_SECONDS, WorkQueue


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def take(queue: WorkQueue[str]) -> str:
    return await asyncio.wait_for(queue.get(), timeout=5)


async def test_a_key_added_many_times_waits_once() -> None:
    queue: WorkQueue[str] = WorkQueue("test")
    for _ in range(3):
        queue.add("a")
    queue.add("b")
    assert [await take(queue), await take(queue)] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_at_work_waits_again_after_that_work() -> None:
    queue: WorkQueue[str] = WorkQueue("test")
    queue.add("a")
    key = await take(queue)
    queue.add("a")
    assert len(queue) == 0, "two workers must never have the same key"
    queue.done(key)
    assert await take(queue) == "a"


async def test_a_waiting_worker_wakes_for_a_new_key() -> None:
    queue: WorkQueue[str] = WorkQueue("test")
    waiting = asyncio.create_task(take(queue))
    await asyncio.sleep(0)
    queue.add("a")
    assert await waiting == "a"


async def test_several_waiting_workers_each_get_one_key() -> None:
    queue: WorkQueue[str] = WorkQueue("test")
    waiting = [asyncio.create_task(take(queue)) for _ in range(3)]
    await asyncio.sleep(0)
    for key in "abc":
        queue.add(key)
    assert sorted(await asyncio.gather(*waiting)) == ["a", "b", "c"]


async def test_a_delayed_key_comes_after_its_delay() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue("test", clock=clock)
    queue.add_after("late", 10)
    queue.add("soon")
    assert await take(queue) == "soon"
    clock.now = 10
    assert await take(queue) == "late"


async def test_the_sooner_of_two_delays_wins_and_the_key_comes_once() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue("test", clock=clock)
    queue.add_after("a", 60)
    queue.add_after("a", 10)
    clock.now = 10
    queue.done(await take(queue))
    clock.now = 60
    queue.add("b")
    assert await take(queue) == "b", "the later of the two delays must be forgotten"


async def test_an_immediate_add_makes_the_delay_moot() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue("test", clock=clock)
    queue.add_after("a", 10)
    queue.add("a")
    queue.done(await take(queue))
    clock.now = 10
    queue.add("b")
    assert await take(queue) == "b"


def test_backoff_grows_with_jitter_up_to_a_cap_and_resets() -> None:
    queue: WorkQueue[str] = WorkQueue("test", clock=Clock())
    delays = [queue.retry("a") for _ in range(40)]
    assert 0.25 <= delays[0] <= 0.5
    assert delays[5] > delays[0]
    assert max(delays) <= MAX_DELAY_SECONDS
    assert len({round(delay, 9) for delay in delays[-10:]}) > 1, "without jitter a fleet retries in step"
    queue.forget("a")
    assert queue.retry("a") <= 0.5


@pytest.mark.parametrize("after", [0.0, 7.0])
def test_a_given_retry_time_is_obeyed(after: float) -> None:
    queue: WorkQueue[str] = WorkQueue("test", clock=Clock())
    assert queue.retry("a", after=after) == after


async def test_the_oldest_work_is_told() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue("test", clock=clock)
    assert queue.oldest_work() == 0
    queue.add("a")
    key = await take(queue)
    clock.now = 42
    assert queue.oldest_work() == 42
    queue.done(key)
    assert queue.oldest_work() == 0
