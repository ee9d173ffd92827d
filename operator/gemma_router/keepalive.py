"""Comments in a stream that has no byte yet, so that no load balancer takes it for dead.

It waits for an endpoint, or its engine reads a long prompt. The first comment commits the answer to status 200. It
comes late, because a client repeats a request that got no status by itself; what fails after it becomes an SSE
`error` event. LiteLLM has such comments too (`sse_keepalive_ping_interval_seconds`), but ends a failed stream with
`[DONE]` and in OpenAI's form for every API, which Anthropic's clients take for a stream that ended well.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

COMMENT = b": waiting\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx would collect the comments.
    (b"x-accel-buffering", b"no"),
]


class Keepalive:
    """Stands between the application and the server for one request. Does nothing until `begin` is called."""

    def __init__(self, send: Send, *, path: str, seconds: float) -> None:
        self._server = send
        self._path = path
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._answered = False
        self._committed = False
        self._status = 0
        self._streams = False
        self._parts: list[bytes] = []

    def begin(self) -> None:
        """Send comments from now on, until the application sends something."""
        if self._task is None and not self._answered:
            self._task = asyncio.create_task(self._comment(), name="keepalive")

    def end(self) -> None:
        """Stop: the request has ended."""
        if self._task is not None:
            self._task.cancel()

    async def send(self, message: Message) -> None:
        """Pass a message of the application on; after a comment in the form that a begun stream needs."""
        self._answered = True
        if self._task is None:
            return await self._server(message)
        self._task.cancel()
        async with self._sending:
            if self._committed:
                return await self._send_late(message)
            return await self._server(message)

    async def _send_late(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._streams = _is_stream(message)
            return
        if self._status == 200 and self._streams:
            return await self._server(message)
        self._parts.append(message.get("body", b""))
        if not message.get("more_body"):
            body = error_event(self._path, status=self._status, body=b"".join(self._parts))
            await self._server({"type": "http.response.body", "body": body})

    async def _comment(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            async with self._sending:
                if not self._committed:
                    self._committed = True
                    await self._server({"type": "http.response.start", "status": 200, "headers": HEADERS})
                await self._server({"type": "http.response.body", "body": COMMENT, "more_body": True})


def error_event(path: str, *, status: int, body: bytes) -> bytes:
    """Return a failed answer as the last event of a stream, in the form of the API of `path`."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        error = {"message": body.decode(errors="replace"), "type": "server_error", "code": str(status)}
    message = error.get("message", "") if isinstance(error, dict) else str(error)
    if path.endswith("/messages"):
        kind = "overloaded_error" if status == 503 else "api_error"
        return _event({"type": "error", "error": {"type": kind, "message": message}}, name="error")
    if path.endswith("/responses"):
        return _event({"type": "error", "code": str(status), "message": message, "param": None}, name="error")
    return _event({"error": error})


def _event(payload: dict[str, object], *, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(payload)}\n\n".encode()


def _is_stream(message: Message) -> bool:
    headers = dict(message.get("headers") or ())
    return bytes(headers.get(b"content-type", b"")).startswith(b"text/event-stream")
