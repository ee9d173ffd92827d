"""A reverse proxy before the real API server that misbehaves on demand, as networks and busy servers do."""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "accept-encoding"}


@dataclass(slots=True)
class Fault:
    """What happens to matching requests; `times` counts down, and at 0 the fault is over."""

    matches: Callable[[web.Request], bool]
    status: int
    times: int
    headers: dict[str, str] = field(default_factory=dict)


class FaultyProxy:
    """Runs in a thread of its own; use it as a context manager."""

    def __init__(self, *, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server: str = cluster["server"]
        self._context = _tls(cluster, user, folder)
        self._folder = folder
        self._faults: list[Fault] = []
        self._blind: set[str] = set()
        self._watches: dict[str, set[web.StreamResponse]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._port = 0
        self.seen: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig that goes through this proxy."""
        path = self._folder / "through-proxy.kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}],
                    "users": [{"name": "u", "user": {}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        return path

    def answer(self, *, method: str, resource: str, status: int, times: int, **headers: str) -> Fault:
        """Answer the next requests of a method on a resource with an error; the fault, to see whether it is over."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        fault = Fault(
            matches=lambda request: request.method == method and f"/{resource}" in request.path,
            status=status,
            times=times,
            headers=named,
        )
        self._faults.append(fault)
        return fault

    def blind(self, resource: str) -> None:
        """Cut the watches of a resource and refuse new ones."""
        self._blind.add(resource)
        self._run(self._cut(resource))

    def see(self, resource: str) -> None:
        """Let a resource be watched again; what happened meanwhile is never told (410, then a new list)."""
        self._blind.discard(resource)

    def break_watch(self, resource: str, *, code: int) -> None:
        """End the watches of a resource with an ERROR event, as a server does that lost its storage."""
        self._run(self._error(resource, code))

    def watched(self, resource: str) -> bool:
        """Whether a watch of the resource is open."""
        return bool(self._watches.get(resource))

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._context), auto_decompress=False)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        for fault in self._faults:
            if fault.times > 0 and fault.matches(request):
                fault.times -= 1
                return _status(fault.status, headers=fault.headers)
        resource = request.path.rsplit("/", 1)[-1]
        watching = request.query.get("watch") in ("1", "true")
        if watching and resource in self._blind:
            return web.Response(body=_error_event(410), content_type="application/json")
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        body = await request.read()
        async with self._session.request(
            request.method, self._server + request.path_qs, headers=headers, data=body or None
        ) as upstream:
            passed = {key: value for key, value in upstream.headers.items() if key.lower() not in _HOP_BY_HOP}
            response = web.StreamResponse(status=upstream.status, headers=passed)
            await response.prepare(request)
            if watching:
                self._watches.setdefault(resource, set()).add(response)
            try:
                async for chunk in upstream.content.iter_any():
                    await response.write(chunk)
            finally:
                self._watches.get(resource, set()).discard(response)
            await response.write_eof()
            return response

    async def _cut(self, resource: str) -> None:
        for response in list(self._watches.get(resource, ())):
            transport = response._req.transport if response._req else None
            if transport is not None:
                transport.abort()

    async def _error(self, resource: str, code: int) -> None:
        for response in list(self._watches.get(resource, ())):
            await response.write(_error_event(code))


def _error_event(code: int) -> bytes:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "injected fault", "code": code}
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


def _status(code: int, *, headers: dict[str, str] | None = None) -> web.Response:
    reason = {403: "Forbidden", 410: "Expired", 429: "TooManyRequests", 500: "InternalError"}.get(code, "Failure")
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": "injected fault",
        "code": code,
    }
    return web.json_response(body, status=code, headers=headers)


def _tls(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> ssl.SSLContext:
    def file(mapping: dict[str, Any], key: str) -> str:
        if path := mapping.get(key):
            return str(path)
        written = folder / key
        written.write_bytes(base64.b64decode(mapping[f"{key}-data"]))
        return str(written)

    context = ssl.create_default_context(cafile=file(cluster, "certificate-authority"))
    context.load_cert_chain(file(user, "client-certificate"), file(user, "client-key"))
    return context
