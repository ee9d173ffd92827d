"""Who may call which path: decided before LiteLLM sees the request. Pure.

Everything that is not named here needs the master key, so a path that a LiteLLM release adds is closed at first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .proxy_config import LIVENESS_PATH, READINESS_PATH

OPEN = frozenset({READINESS_PATH, LIVENESS_PATH, "/health/liveness"})
"""kubelet has no key. They tell nothing but a status."""

INFERENCE = frozenset({"/models", "/chat/completions", "/completions", "/responses", "/messages"})
"""For clients, with or without `/v1`; `/models/NAME` too."""

MASTER = "master"


class Denied(Exception):
    """An OpenAI-style error for the client."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code

    def body(self) -> dict[str, object]:
        """Return the JSON body that OpenAI's clients expect."""
        kind = "invalid_request_error" if self.status == 401 else "permission_error"
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the name of a client key, or the administrator with the master key."""

    name: str
    is_admin: bool = False


def key_of(headers: Mapping[str, str]) -> str:
    """Return the key in `Authorization: Bearer`, `x-api-key` or `api-key`; empty when there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return (headers.get("x-api-key") or headers.get("api-key") or "").strip()


def is_inference(path: str) -> bool:
    """Whether clients may call this path."""
    short = path.removeprefix("/v1") if path.startswith("/v1/") else path
    return short in INFERENCE or (short.startswith("/models/") and len(short) > len("/models/"))


def authorize(
    path: str,
    key: str,
    *,
    client: Callable[[str], str | None],
    is_master: Callable[[str], bool],
) -> Caller | None:
    """Return who may go on; None for the open paths. Raises `Denied`."""
    if path in OPEN:
        return None
    if not key:
        raise Denied(401, "No API key was given. Send it as 'Authorization: Bearer KEY'.", "missing_api_key")
    if is_master(key):
        if is_inference(path):
            raise Denied(403, "The master key is for administration. Use a client key.", "master_key_not_allowed")
        return Caller(MASTER, is_admin=True)
    name = client(key)
    if name is None:
        raise Denied(401, "The API key is not known here. It may have been revoked.", "invalid_api_key")
    if not is_inference(path):
        raise Denied(403, f"A client key may not use {path!r}.", "path_not_allowed")
    return Caller(name)
