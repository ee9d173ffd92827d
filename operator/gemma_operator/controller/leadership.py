"""Which of several operators works: the holder of a Lease. All others keep their caches warm and wait."""

import asyncio
import time

from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection

from gemma_operator.cluster import telemetry
from gemma_operator.cluster.lease import LeaseLock, LeaseLost
from gemma_operator.cluster.log import logger

LEASE_SECONDS = 15.0
"""Others take over when it was not renewed for so long."""
RENEW_SECONDS = 10.0
"""The holder ends when it could not renew for so long: before others may begin."""
RETRY_SECONDS = 2.0
_WATCH_SECONDS = 0.5


class Leadership:
    """One candidate."""

    def __init__(self, lock: LeaseLock) -> None:
        self._lock = lock
        self._won = asyncio.Event()
        telemetry.LEADER.set(0)

    async def won(self) -> None:
        """Return once this process is the one that works."""
        await self._won.wait()

    async def run(self) -> None:
        """Stand for election, then keep the Lease; raises `LeaseLost` when it is no longer ours, and never returns."""
        election = LeaderElection(
            Config(
                self._lock,
                lease_duration=LEASE_SECONDS,
                renew_deadline=RENEW_SECONDS,
                retry_period=RETRY_SECONDS,
                onstarted_leading=self._start,
                onstopped_leading=self._stop,
            )
        )
        running = asyncio.create_task(election.run(), name="election")
        try:
            while not running.done():
                await asyncio.wait([running], timeout=_WATCH_SECONDS)
                held = self._lock.held_at
                # The library counts by the wall clock and from its last attempt: neither says how old the Lease is.
                if held is not None and (age := time.monotonic() - held) > RENEW_SECONDS:
                    raise LeaseLost(f"the lease could not be renewed for {age:.0f} s")
            running.result()
            raise LeaseLost("the lease could not be renewed")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            telemetry.LEADER.set(0)

    async def release(self) -> None:
        """Give the Lease back, once nothing works any more."""
        await self._lock.release()

    async def _start(self) -> None:
        logger().info("%s holds the lease and works", self._lock.identity)
        telemetry.LEADER.set(1)
        self._won.set()

    async def _stop(self) -> None:
        logger().error("%s lost the lease", self._lock.identity)
