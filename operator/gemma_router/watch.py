"""List and watch of one resource: a complete view that stays true across drops, bookmarks and relists."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp

from .kube import ApiError, KubeApi

log = logging.getLogger(__name__)

Objects = Mapping[str, dict[str, Any]]

WATCH_SECONDS = (60, 90)
"""The server ends a watch after a random time in between: a stuck connection blinds the router no longer."""
BACKOFF_SECONDS = (0.2, 5.0)
QUICK_SECONDS = 1.0


class Gone(Exception):
    """The resourceVersion is too old (410): only a new list helps."""


class ListWatch:
    """Keeps `objects` (name → object) equal to the API's and calls `changed` after every difference.

    While the API cannot be reached the objects stay as they are; `reachable` says so. A list replaces everything, so a
    deletion that happened between two watches is seen.
    """

    def __init__(
        self,
        *,
        api: KubeApi,
        session: aiohttp.ClientSession,
        path: str,
        params: Mapping[str, str],
        changed: Callable[[Objects], None],
    ) -> None:
        self._api, self._session = api, session
        self._path, self._params = path, params
        self._changed = changed
        self._version = ""
        self.objects: dict[str, dict[str, Any]] = {}
        self.listed = asyncio.Event()
        self.reachable = False

    async def run(self) -> None:
        """Run until cancelled. Never raises for what the API or the network does."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            broken = await self._once()
            # A watch that ends at once is as bad as one that fails: without the wait this would be a hot loop.
            # One that lived for long and broke then is a first failure, whatever was before it.
            quick = loop.time() - started < QUICK_SECONDS
            failures = failures + 1 if quick else int(broken)
            if failures:
                await asyncio.sleep(backoff(failures))

    async def _once(self) -> bool:
        """List if needed, then watch to its end; return whether it failed."""
        try:
            if not self._version:
                await self._list()
            await self._watch()
        except Gone:
            self._version = ""
            return False
        except ApiError as error:
            self.reachable = error.code < 500
            if error.code in (400, 410):
                self._version = ""
            if error.code != 410:
                log.error("%s of %s failed: %s%s", self._verb(), self._path, error, _advice(error.code))
            return True
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            self.reachable = False
            log.warning("%s of %s broke, keeping what is known: %r", self._verb(), self._path, error)
            return True
        return False

    async def _list(self) -> None:
        items, version = await self._api.list(self._session, self._path, self._params)
        self.reachable = True
        fresh = {item["metadata"]["name"]: item for item in items}
        self._version = version
        different = fresh != self.objects
        self.objects = fresh
        if different or not self.listed.is_set():
            self._changed(fresh)
        self.listed.set()

    async def _watch(self) -> None:
        events = self._api.watch(
            self._session,
            self._path,
            self._params,
            version=self._version,
            seconds=random.randint(*WATCH_SECONDS),
            opened=self._reached,
        )
        async with aclosing(events):
            async for event in events:
                self._take(event)

    def _reached(self) -> None:
        self.reachable = True

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, item = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            code = int(item.get("code") or 500)
            if code == 410:
                raise Gone
            raise ApiError(code, str(item.get("message", "watch ended with an error")))
        metadata = item.get("metadata") or {}
        if version := metadata.get("resourceVersion"):
            self._version = version
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self.objects.pop(metadata["name"], None)
        elif kind in ("ADDED", "MODIFIED"):
            self.objects[metadata["name"]] = dict(item)
        else:
            log.warning("unknown watch event %r of %s ignored", kind, self._path)
            return
        self._changed(self.objects)

    def _verb(self) -> str:
        return "watch" if self._version else "list"


def backoff(failures: int) -> float:
    """Return seconds to wait after so many failures in a row: doubling, capped, with jitter of one half."""
    low, high = BACKOFF_SECONDS
    return float(min(high, low * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0))


def _advice(code: int) -> str:
    if code in (401, 403):
        return "; bind the role gemma-router of the chart to the router's ServiceAccount in this namespace"
    return ""
