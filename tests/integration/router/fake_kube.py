"""A Kubernetes API of two resources, with what a real one does to watchers: bookmarks, 410, drops, outages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NAMESPACE = "chat-team"
CONFIGMAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"


@dataclass(eq=False)
class _Watcher:
    path: str
    selected: Callable[[Mapping[str, Any]], bool]
    events: asyncio.Queue[dict[str, Any] | None] = field(default_factory=asyncio.Queue)


class FakeKube:
    """Serves LIST and WATCH of ConfigMaps and EndpointSlices in one namespace."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.version = 100
        self.oldest = 0
        self.objects: dict[str, dict[str, dict[str, Any]]] = {CONFIGMAPS: {}, SLICES: {}}
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        self.requests: list[tuple[str, str]] = []
        self.outage = False
        self._watchers: set[_Watcher] = set()
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port of the loopback."""
        app = web.Application()
        app.router.add_get(CONFIGMAPS, self._get)
        app.router.add_get(SLICES, self._get)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the listener and every watch."""
        self.drop_watches()
        assert self._runner is not None
        await self._runner.cleanup()

    def put(self, path: str, item: dict[str, Any]) -> None:
        """Create or replace an object and tell the watchers."""
        name = item["metadata"]["name"]
        kind = "MODIFIED" if name in self.objects[path] else "ADDED"
        self.version += 1
        item = json.loads(json.dumps(item))
        item["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path][name] = item
        self._emit(path, {"type": kind, "object": item})

    def delete(self, path: str, name: str) -> None:
        """Delete an object and tell the watchers."""
        item = self.objects[path].pop(name)
        self.version += 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        self._emit(path, {"type": "DELETED", "object": item})

    def compact(self) -> None:
        """Forget the history: whoever watches from before now gets 410."""
        self.oldest = self.version
        self.history.clear()

    def bookmark(self) -> None:
        """Send every watcher the current version."""
        self.version += 1
        event = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.version)}}}
        for watcher in self._watchers:
            watcher.events.put_nowait(event)

    def error_event(self, code: int) -> None:
        """Send every watcher an ERROR event."""
        event = {"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "told by the test"}}
        for watcher in self._watchers:
            watcher.events.put_nowait(event)

    def drop_watches(self) -> None:
        """Cut every watch without a word."""
        for watcher in self._watchers:
            watcher.events.put_nowait(None)

    def watching(self) -> int:
        """Return how many watches are open."""
        return len(self._watchers)

    def _emit(self, path: str, event: dict[str, Any]) -> None:
        self.history.append((self.version, path, event))
        for watcher in self._watchers:
            if watcher.path == path and watcher.selected(event["object"]):
                watcher.events.put_nowait(event)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        verb = "watch" if request.query.get("watch") else "list"
        self.requests.append((verb, request.path))
        if self.outage:
            return web.json_response({"kind": "Status", "message": "etcd is away"}, status=503)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "message": "Unauthorized"}, status=401)
        selected = _selector(request.query)
        if verb == "watch":
            return await self._watch(request, selected)
        items = [item for item in self.objects[request.path].values() if selected(item)]
        return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})

    async def _watch(self, request: web.Request, selected: Callable[[Mapping[str, Any]], bool]) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if since < self.oldest:
            await _write(response, {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
            return response
        watcher = _Watcher(request.path, selected)
        for version, path, past in self.history:
            if version > since and path == request.path and selected(past["object"]):
                watcher.events.put_nowait(past)
        self._watchers.add(watcher)
        try:
            while (event := await watcher.events.get()) is not None:
                await _write(response, event)
            if request.transport is not None:
                request.transport.abort()
        except ConnectionResetError:
            pass
        finally:
            self._watchers.discard(watcher)
        return response


async def _write(response: web.StreamResponse, event: Mapping[str, Any]) -> None:
    line = json.dumps(event).encode() + b"\n"
    # In two pieces, because a real event may arrive in any number of them.
    await response.write(line[:7])
    await response.write(line[7:])


def _selector(query: Mapping[str, str]) -> Callable[[Mapping[str, Any]], bool]:
    if field_selector := query.get("fieldSelector"):
        name = field_selector.removeprefix("metadata.name=")
        return lambda item: item["metadata"]["name"] == name
    label, _, value = query.get("labelSelector", "").partition("=")
    return lambda item: (item["metadata"].get("labels") or {}).get(label) == value
