"""A deduplicating work queue with delays and back-off, with the rules of client-go's.

A key waits once however often it is added; a key that is added while a worker has it waits again after that worker is
done; a failing key comes back later and later, with jitter so that a fleet does not retry in step.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from gemma_operator.cluster import telemetry

K = TypeVar("K", bound=Hashable)

BASE_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 300.0


class WorkQueue(Generic[K]):
    """Keys that wait for a worker."""

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._clock = clock
        self._ready: dict[K, float] = {}
        self._working: dict[K, float] = {}
        self._dirty: set[K] = set()
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._order = itertools.count()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Have the key handled as soon as a worker is free."""
        if key in self._working:
            self._dirty.add(key)
        elif key not in self._ready:
            self._ready[key] = self._clock()
            telemetry.QUEUE_DEPTH.labels(queue=self.name).set(len(self._ready))
        self._due.pop(key, None)
        self._wake.set()

    def add_after(self, key: K, delay: float) -> None:
        """Have the key handled after so many seconds, or sooner if it is due sooner already."""
        due = self._clock() + delay
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, next(self._order), key))
        self._wake.set()

    def retry(self, key: K, *, after: float | None = None) -> float:
        """Have a failed key handled again later; the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # Exponents above 2**16 exceed the cap many times over; bounding them keeps the float finite.
        backoff = min(BASE_DELAY_SECONDS * 2.0 ** min(failures, 16), MAX_DELAY_SECONDS)
        delay = after if after is not None else backoff * random.uniform(0.5, 1.0)
        telemetry.QUEUE_RETRIES.labels(queue=self.name).inc()
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Reset the back-off of a key that succeeded."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; the caller must call `done` with it."""
        while True:
            self._promote()
            if self._ready:
                key = next(iter(self._ready))
                waited = self._clock() - self._ready.pop(key)
                telemetry.QUEUE_SECONDS.labels(queue=self.name).observe(waited)
                telemetry.QUEUE_DEPTH.labels(queue=self.name).set(len(self._ready))
                self._working[key] = self._clock()
                return key
            self._wake.clear()
            timeout = max(0.0, self._later[0][0] - self._clock()) if self._later else None
            try:
                await asyncio.wait_for(self._wake.wait(), timeout)
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """Say that a worker is done with the key."""
        self._working.pop(key, None)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)
        elif self._ready:
            self._wake.set()

    def oldest_work(self) -> float:
        """Seconds that the longest running reconcile has been at work; 0 when none is."""
        return max((self._clock() - start for start in self._working.values()), default=0.0)

    def _promote(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
