"""What a failed attempt says about its endpoint. Pure."""

from __future__ import annotations

from collections.abc import Iterator

SHUTDOWN_TEXT = "cannot schedule new futures after shutdown"
"""vLLM 0.32 after SIGTERM: HTTP 500 with this message, while /health still says 200."""

UNREACHABLE_TYPES = frozenset(
    {
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ConnectionTimeoutError",
        "ConnectError",
        "ConnectTimeout",
        "ConnectionRefusedError",
    }
)
"""Names of the exceptions of aiohttp, httpx and Python for a connection that was never made."""

UNREACHABLE_TEXTS = (
    "Cannot connect to host",
    "Connect call failed",
    "Connection refused",
    "Connection timeout to host",
)
"""LiteLLM keeps only the text of the cause in some of its exceptions."""


def judge(error: BaseException) -> str | None:
    """Return `unreachable`, `shutdown`, or None when the failure says nothing against the endpoint.

    A connection that breaks later is none of these: the next attempt tells.
    """
    text = str(error)
    if SHUTDOWN_TEXT in text:
        return "shutdown"
    if any(type(cause).__name__ in UNREACHABLE_TYPES for cause in _chain(error)):
        return "unreachable"
    if getattr(error, "status_code", 500) >= 500 and any(part in text for part in UNREACHABLE_TEXTS):
        return "unreachable"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    stack: list[object] = [error]
    while stack:
        item = stack.pop()
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            stack += [item.__cause__, item.__context__, getattr(item, "original_exception", None)]
