"""The outermost ASGI layer: checks the key, marks the request, measures it, and closes its count however it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .access import Caller, Denied, authorize, key_of
from .keepalive import Keepalive, Message, Send
from .metrics import Metrics
from .proxy_config import READINESS_PATH
from .requests import ClientRequest, current

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CALLER = "gemma_caller"
"""Key of the `Caller` in `request.state`; LiteLLM's custom auth reads it and refuses requests without."""


class Gate:
    """Wraps LiteLLM's whole application.

    LiteLLM without a database answers 400 or 500 to a missing or wrong key on some paths and has paths that check
    none; it also reads the body first. Its callbacks miss some ends of a request; this `finally` sees all of them.
    """

    def __init__(
        self,
        app: App,
        *,
        client: Callable[[str], str | None],
        is_master: Callable[[str], bool],
        ready: Callable[[], bool],
        finished: Callable[[ClientRequest], None],
        metrics: Metrics,
        stopping: Callable[[], bool],
        comment_seconds: float,
    ) -> None:
        self._app = app
        self._client, self._is_master = client, is_master
        self._ready, self._finished = ready, finished
        self._metrics = metrics
        self._stopping = stopping
        self._comment_seconds = comment_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            # No engine of ours speaks it, and LiteLLM checks its keys in a way of its own.
            return await send({"type": "websocket.close", "code": 1008})
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            # Browsers ask before they send a key; LiteLLM's CORS layer answers and passes nothing on.
            return await self._app(scope, receive, send)
        try:
            caller = authorize(scope["path"], key_of(headers), client=self._client, is_master=self._is_master)
        except Denied as denied:
            self._metrics.denied.labels(denied.code).inc()
            return await _answer(send, denied.status, denied.body(), close=True)
        if scope["path"] == READINESS_PATH and not self._ready():
            return await _answer(send, 503, {"status": "routes and endpoints are not applied yet"})
        if caller is None or caller.is_admin:
            return await self._pass(scope, receive, send, caller)
        return await self._serve(scope, receive, send, caller, ClientRequest(client=caller.name))

    async def _pass(self, scope: Scope, receive: Receive, send: Send, caller: Caller | None) -> None:
        scope.setdefault("state", {})[CALLER] = caller
        await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, caller: Caller, request: ClientRequest) -> None:
        keepalive = Keepalive(self._leaving(send), path=scope["path"], seconds=self._comment_seconds)
        request.streams = keepalive.begin
        started = time.monotonic()
        code, first = "499", None

        async def measured(message: Message) -> None:
            nonlocal code, first
            if message["type"] == "http.response.start":
                code = str(message["status"])
            elif first is None and message.get("body"):
                first = time.monotonic() - started
            await keepalive.send(message)

        async def counted() -> Message:
            message = await receive()
            # What a body says of its length is missing where it comes in chunks.
            request.size += len(message.get("body", b""))
            return message

        token = current.set(request)
        try:
            await self._pass(scope, counted, measured, caller)
        finally:
            current.reset(token)
            keepalive.end()
            self._finished(request)
            self._metrics.requests.labels(request.deployment, caller.name, code).inc()
            for deployment, seconds in request.waited.items():
                self._metrics.waited.labels(deployment).observe(seconds)
            if request.refused:
                self._metrics.refused.labels(request.deployment, request.refused).inc()
            if request.deployment:
                self._metrics.duration.labels(request.deployment).observe(time.monotonic() - started)
                if first is not None:
                    self._metrics.first_byte.labels(request.deployment).observe(first)

    def _leaving(self, send: Send) -> Send:
        """Have clients open a new connection, to another router pod, once this one is told to stop."""

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._stopping():
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        return closing


async def _answer(send: Send, status: int, body: dict[str, object], *, close: bool = False) -> None:
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if close:
        # The body was not read; a large one must not be read to find the next request.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
