"""Why a request is given up while it waits, in words for the client. Pure."""

from __future__ import annotations

import math

RETRY_SECONDS = (5, 600)
"""Bounds of `Retry-After`."""


class Unavailable(Exception):
    """The request is given up; the client should come again after `retry_after` seconds. `reason` is one word."""

    def __init__(self, message: str, *, reason: str, expected: float = 0) -> None:
        low, high = RETRY_SECONDS
        self.retry_after = min(high, max(low, math.ceil(expected)))
        self.reason = reason
        super().__init__(f"{message}; try again in about {self.retry_after} s")


def asleep(deployment: str, why: str, *, reason: str, startup: float, since: float) -> Unavailable:
    """No endpoint is usable; one takes `startup` seconds to start, of which `since` have passed."""
    return Unavailable(
        f"deployment {deployment!r} has no endpoint, and {why}; starting one takes about {startup:.0f} s",
        reason=reason,
        expected=startup - since,
    )


def switched_off(deployment: str) -> Unavailable:
    """No endpoint is usable, and no request brings one."""
    return Unavailable(
        f"deployment {deployment!r} is switched off: it has 0 replicas by its spec, and no request starts one; whoever "
        f"runs it must set spec.replicas to 1 or more (kubectl scale gdep {deployment} --replicas=1), or remove it",
        reason="off",
        expected=RETRY_SECONDS[1],
    )


def busy(deployment: str, why: str, *, reason: str, endpoints: int, wait: float) -> Unavailable:
    """All endpoints are at their limit; others have just waited `wait` seconds."""
    return Unavailable(
        f"deployment {deployment!r} is busy: all its {endpoints} endpoints work at their limit, and {why}",
        reason=reason,
        expected=wait,
    )
