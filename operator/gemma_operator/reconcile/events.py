"""Kubernetes Events: posted on transitions, counted instead of repeated."""

import asyncio
import hashlib
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Literal

from gemma_operator.api import names
from gemma_operator.api.errors import OperatorError
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.resources import EVENTS, Object

_REMEMBERED = 4096
_WAITING = 10_000
_MESSAGE_LIMIT = 1000
_BEING_DELETED = "because it is being terminated"


class EventRecorder:
    """Posts events of one operator process; the same event again raises its count."""

    def __init__(self, client: Client, *, instance: str) -> None:
        self._client = client
        self._instance = instance
        self._waiting: asyncio.Queue[tuple[Object, Object]] = asyncio.Queue(maxsize=_WAITING)
        self._counts: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self.ending: set[str] = set()
        """Namespaces that are being deleted, as far as the API server said so: nothing can be made in them."""

    async def run(self) -> None:
        """Send events for ever, one after the other: no reconcile waits for them. Failing to send is only logged."""
        while True:
            about, event = await self._waiting.get()
            namespace = event["metadata"]["namespace"]
            try:
                await self._send(event)
                self.ending.discard(namespace)
            except OperatorError as error:
                if _BEING_DELETED in str(error):
                    self.ending.add(namespace)
                logger(about).warning("event %s could not be posted: %s", event["reason"], error)

    async def _send(self, event: Object) -> None:
        # A new one costs the API server a third less than an apply. After a restart there may be one already.
        if event["count"] > 1 or await self._client.create(EVENTS, event) is None:
            await self._client.apply(EVENTS, event)

    def post(self, about: Object, *, reason: str, message: str, type_: Literal["Normal", "Warning"]) -> None:
        """Have an event about an object sent; when too many wait, it is dropped and that is logged."""
        metadata = about["metadata"]
        identity = "\n".join((metadata["uid"], reason, message))
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        count, first = self._counts.pop(digest, (0, now))
        self._counts[digest] = (count + 1, first)
        while len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        event: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "reason": reason,
            "message": message[:_MESSAGE_LIMIT],
            "type": type_,
            "count": count + 1,
            "firstTimestamp": first,
            "lastTimestamp": now,
            "source": {"component": names.MANAGER},
            "reportingComponent": names.MANAGER,
            "reportingInstance": self._instance,
        }
        try:
            self._waiting.put_nowait((about, event))
        except asyncio.QueueFull:
            logger(about).warning("event %s dropped: %d events wait already", reason, _WAITING)
