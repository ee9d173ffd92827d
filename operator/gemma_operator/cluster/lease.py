"""One Lease as the lock of `kubernetes.aio.leaderelection`: through our client, bounded in time, given back at the end.

The lock of the library waits for ever on a connection that hangs, and lets a connection error end the process, so that
an API server that restarts would take the leader with it.
"""

import asyncio
import json
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, TypeVar

from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.baselock import BaseLock

from gemma_operator.api.errors import ApiError, OperatorError, Transient
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.resources import LEASES, Object

REQUEST_SECONDS = 3.0
T = TypeVar("T")


class LeaseLost(Transient):
    """Another operator works now."""


class LeaseLock(BaseLock):
    """A Lease, with the time of the last renewal on a clock that never jumps."""

    def __init__(self, client: Client, *, name: str, namespace: str, identity: str) -> None:
        super().__init__(name, namespace, identity)
        self._client = client
        self._lease: Object = {}
        self.held_at: float | None = None
        """When the request that last made or kept us the holder was sent; `None`: we never were."""

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        """The record of the Lease; raises `LeaseLost` when it was ours and is no longer."""
        try:
            lease = await _bounded(self._client.get(LEASES, name=name, namespace=namespace))
        except OperatorError as error:
            return False, _refusal(error)
        if lease is None:
            return False, _refusal(ApiError(status=404, reason="NotFound", message="", verb="GET", path=name))
        self._lease = lease
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or None
        if self.held_at is not None and holder != self.identity:
            raise LeaseLost(f"lease {namespace}/{name} is held by {holder or 'nobody'} now")
        seconds = spec.get("leaseDurationSeconds")
        duration = str(seconds) if seconds is not None else None
        return True, LeaderElectionRecord(holder, duration, spec.get("acquireTime"), spec.get("renewTime"))

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Make the Lease, held by us; whether nobody was faster."""
        sent = time.monotonic()
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": _spec(election_record, acquired=_now(), transitions=0),
        }
        try:
            created = await _bounded(self._client.create(LEASES, body))
        except OperatorError as error:
            logger().warning("lease %s/%s could not be made: %s", namespace, name, error)
            return False
        if created is None:
            return False
        self.held_at = sent
        return True

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        """Take or renew the Lease as it was last read; whether nobody was faster."""
        sent = time.monotonic()
        spec = self._lease.get("spec") or {}
        ours = spec.get("holderIdentity") == self.identity
        acquired = spec.get("acquireTime") if ours else None
        transitions = int(spec.get("leaseTransitions") or 0) + (not ours)
        if not await self._write(_spec(updated_record, acquired=acquired or _now(), transitions=transitions)):
            return False
        self.held_at = sent
        return True

    async def release(self) -> None:
        """Let another one take over at once; a Lease that cannot be written runs out by itself."""
        if self.held_at is None:
            return
        try:
            found, _ = await self.get(self.name, self.namespace)
        except LeaseLost:
            return
        if found:
            await self._write({**self._lease["spec"], "holderIdentity": None})

    async def _write(self, spec: Object) -> bool:
        try:
            await _bounded(self._client.replace(LEASES, {**self._lease, "spec": spec}))
        except OperatorError as error:
            logger().warning("lease %s/%s could not be written: %s", self.namespace, self.name, error)
            return False
        return True


def _spec(record: LeaderElectionRecord, *, acquired: str, transitions: int) -> Object:
    return {
        "holderIdentity": record.holder_identity,
        "leaseDurationSeconds": int(float(record.lease_duration or 1)),
        "acquireTime": acquired,
        "renewTime": _now(),
        "leaseTransitions": transitions,
    }


async def _bounded(request: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            return await request
    except TimeoutError as error:
        raise Transient(f"no answer within {REQUEST_SECONDS:.0f} s") from error


def _refusal(error: OperatorError) -> ApiException:
    """An error as the library reads it: only a clean 404 means that there is no Lease."""
    status = error.status if isinstance(error, ApiError) else 0
    refusal = ApiException(status=status, reason=str(error))
    refusal.body = json.dumps({"code": status})
    return refusal


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
