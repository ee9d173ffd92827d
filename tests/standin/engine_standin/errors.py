"""Errors as vLLM words and shapes them: for a client of the HTTP API, and for the operator of the process."""

import re
from http import HTTPStatus
from typing import Any

ENGINE_DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
AFTER_SHUTDOWN = "cannot schedule new futures after shutdown"
QUEUE_FULL = (
    "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance."
)
PREFILL_BACKLOG = (
    "The engine has reached its prefill token backlog limit. Please try again later or on a different instance."
)

_PATHS = (
    re.compile(r"/(?:home|usr|opt|var|tmp|root|lib|mnt|srv)(?:/[\w.\-]+)+"),
    re.compile(r"(?:/[\w\-]+)+/[\w\-]+\.\w+"),
)


class ApiError(Exception):
    """An answer with an error body: `{"error": {"message", "type", "param", "code"}}`."""

    def __init__(
        self,
        message: str,
        *,
        status: int = HTTPStatus.BAD_REQUEST,
        kind: str = "BadRequestError",
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = int(status)
        self.kind = kind
        self.param = param

    def body(self) -> dict[str, Any]:
        """Return the JSON body; file paths in the message are hidden, as vLLM does."""
        message = str(self)
        for pattern in _PATHS:
            message = pattern.sub("<path>", message)
        error = {"message": message.strip(), "type": self.kind, "param": self.param, "code": self.status}
        return {"error": error}


def invalid(message: str, *, param: str | None = None, value: Any = None) -> ApiError:
    """Return the 400 of a request that vLLM's own validation refuses; the field is repeated in the text."""
    extras = [f"parameter={param}"] if param is not None else []
    if value is not None:
        extras.append(f"value={value}")
    return ApiError(f"{message} ({', '.join(extras)})" if extras else message, param=param)


def not_done(what: str, *, param: str) -> ApiError:
    """Return the 400 for something that vLLM does and the stand-in does not: never ignored in silence."""
    return ApiError(f"{what} is not supported by the engine stand-in.", param=param)


def server_error(message: str) -> ApiError:
    """Return the 500 that vLLM makes of any other exception."""
    return ApiError(message, status=HTTPStatus.INTERNAL_SERVER_ERROR, kind="InternalServerError")


class EngineDeadError(Exception):
    """The engine process is gone: requests in flight end with this, `/health` answers 503."""

    def __init__(self) -> None:
        super().__init__(ENGINE_DEAD)


class StartFailure(Exception):
    """Why the engine does not start: printed as a traceback of the process that finds out, exit code 1.

    `in_engine` says that the engine process finds it, so that the API server adds its own RuntimeError.
    """

    def __init__(self, message: str, *, kind: str = "ValueError", in_engine: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.in_engine = in_engine

    def text(self) -> str:
        """Return the last line(s) of the traceback."""
        return f"{self.kind}: {self}"
