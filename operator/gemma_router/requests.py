"""What the router knows of one client request, from its first byte to its last."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field


def _nothing() -> None:
    pass


@dataclass(slots=True, eq=False)
class ClientRequest:
    """One request of a client over all its attempts. Identity is the object, so it may key a count."""

    client: str
    """Name of the client's key, never the key."""
    size: int = 0
    """Bytes of its body that were read so far: all of them once it is sent to a deployment."""
    deployment: str = ""
    """The deployment that it was sent to last; empty before the choice."""
    tried: set[str] = field(default_factory=set)
    """Members that got an attempt of it."""
    waited: dict[str, float] = field(default_factory=dict)
    """Deployment → seconds that it has waited for an endpoint: one bound over all attempts."""
    ended: bool = False
    """Whether the gate has closed it; it must not be counted any more."""
    refused: str = ""
    """Why it was given up while it waited."""
    streams: Callable[[], None] = _nothing
    """Called when it is known that the client wants server-sent events."""


current: ContextVar[ClientRequest | None] = ContextVar("gemma_client_request", default=None)
"""Set by the gate around the whole request. Tasks that LiteLLM makes for a request inherit the same object."""
