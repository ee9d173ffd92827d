"""The router's settings, from the environment of its container."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .proxy_config import (
    COMMENT_SECONDS,
    HOLD_QUEUE,
    HOLD_SECONDS,
    KEYS_DIR,
    REQUEST_TIMEOUT_SECONDS,
    SHUTDOWN_SECONDS,
    STATE_PORT,
)


class SettingsInvalid(ValueError):
    """A variable is missing or cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one router pod is told when it starts."""

    router: str
    namespace: str
    master_key: str
    engine_key: str
    keys_dir: Path
    hold_seconds: float
    hold_queue: int
    comment_seconds: float
    request_timeout: float
    drain_seconds: float
    state_port: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read `GEMMA_*`, `POD_NAMESPACE` and `LITELLM_MASTER_KEY`. Raises `SettingsInvalid`."""
        return cls(
            router=_text(environ, "GEMMA_ROUTER_NAME"),
            namespace=_text(environ, "POD_NAMESPACE"),
            master_key=_text(environ, "LITELLM_MASTER_KEY"),
            engine_key=_text(environ, "GEMMA_ENGINE_KEY"),
            keys_dir=Path(environ.get("GEMMA_KEYS_DIR") or KEYS_DIR),
            hold_seconds=_number(environ, "GEMMA_HOLD_SECONDS", HOLD_SECONDS),
            hold_queue=int(_number(environ, "GEMMA_HOLD_QUEUE", HOLD_QUEUE)),
            comment_seconds=_number(environ, "GEMMA_COMMENT_SECONDS", COMMENT_SECONDS),
            request_timeout=_number(environ, "GEMMA_REQUEST_TIMEOUT_SECONDS", REQUEST_TIMEOUT_SECONDS),
            drain_seconds=_number(environ, "GRACEFUL_SHUTDOWN_TIMEOUT", SHUTDOWN_SECONDS),
            state_port=int(_number(environ, "GEMMA_STATE_PORT", STATE_PORT)),
        )


def _text(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise SettingsInvalid(f"environment variable {name} is missing in the router's container")
    return value


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    raw = environ.get(name, "").strip()
    if not raw:
        return float(default)
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise SettingsInvalid(f"environment variable {name} is {raw!r}; it must be a number, 0 or more")
    return value
