"""Exceptions of the operator.

    OperatorError
    ├── Transient(retry_after)      try again later: API server away, conflict, throttled
    │   └── ApiError(status, …)     the API server answered with an error
    ├── Terminal(reason, message)   a person must change something; retried only when an input changes
    └── ConfigurationError          the operator's own configuration or catalog is wrong: it does not start

`controller.outcome` maps each to requeue, condition, event and log level; nothing else does.
"""

from gemma_operator.api.conditions import Reason


class OperatorError(Exception):
    """Base of everything that the operator raises on purpose."""


class Transient(OperatorError):
    """Something that passes by itself; `retry_after` in seconds, `None` for the queue's own back-off."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ApiError(Transient):
    """An error answer of the API server."""

    def __init__(
        self, *, status: int, reason: str, message: str, verb: str, path: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{verb} {path}: {status} {reason}: {message}", retry_after=retry_after)
        self.status = status
        self.reason = reason
        self.detail = message


class Terminal(OperatorError):
    """A state that only a change of an input ends; becomes a condition with this reason and message."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ConfigurationError(OperatorError):
    """The operator's configuration, or the catalog, is wrong; the message names file, line and remedy."""
