"""What a failed attempt says about its endpoint."""

from __future__ import annotations

import asyncio
import errno

import pytest
from gemma_router.failures import judge


class ClientConnectorError(OSError):
    """By the name that aiohttp uses."""


class FromLiteLLM(Exception):
    def __init__(self, text: str, status_code: int) -> None:
        super().__init__(text)
        self.status_code = status_code


def chained(error: Exception, cause: Exception) -> Exception:
    try:
        raise error from cause
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "unreachable"),
        (chained(FromLiteLLM("Connection error", 500), ClientConnectorError("no")), "unreachable"),
        (FromLiteLLM("Cannot connect to host 10.0.0.1:8000 ssl:default", 500), "unreachable"),
        (FromLiteLLM("the prompt speaks of Connection refused", 400), None),
        (FromLiteLLM('{"message": "cannot schedule new futures after shutdown"}', 500), "shutdown"),
        (FromLiteLLM("the engine is broken", 500), None),
        (FromLiteLLM("maximum context length", 400), None),
        (TimeoutError(), None),
        (asyncio.CancelledError(), None),
    ],
)
def test_judgement(error: BaseException, expected: str | None) -> None:
    assert judge(error) == expected


def test_a_chain_that_bites_its_tail_ends() -> None:
    one, two = Exception("one"), Exception("two")
    one.__cause__, two.__cause__ = two, one
    assert judge(one) is None
