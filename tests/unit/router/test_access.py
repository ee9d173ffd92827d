"""Who may call which path."""

from __future__ import annotations

import pytest
from gemma_router.access import Caller, Denied, authorize, is_inference, key_of

MASTER, CLIENT = "sk-master", "client-key"


def ask(path: str, key: str) -> Caller | None:
    return authorize(path, key, client={CLIENT: "team"}.get, is_master=lambda given: given == MASTER)


@pytest.mark.parametrize("path", ["/health/readiness", "/health/liveliness", "/health/liveness"])
def test_probes_are_open(path: str) -> None:
    assert ask(path, "") is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "/v1/models", "/v1/models/chat"])
def test_a_client_may_use_inference(path: str) -> None:
    assert is_inference(path)
    assert ask(path, CLIENT) == Caller("team")


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/models/", "//v1/models", "/v1/v1/models", "/v1/chat", "/model/info", "/health"]
)
def test_everything_else_needs_the_master_key(path: str) -> None:
    assert not is_inference(path)
    assert ask(path, MASTER) == Caller("master", is_admin=True)
    with pytest.raises(Denied) as denied:
        ask(path, CLIENT)
    assert denied.value.status == 403


@pytest.mark.parametrize("path", ["/v1/models", "/model/info", "/health/readiness/", "/metrics", "/nothing"])
@pytest.mark.parametrize(("key", "code"), [("", "missing_api_key"), ("wrong", "invalid_api_key")])
def test_no_or_a_wrong_key_is_401(path: str, key: str, code: str) -> None:
    with pytest.raises(Denied) as denied:
        ask(path, key)
    assert denied.value.status == 401
    assert denied.value.body() == {
        "error": {
            "message": denied.value.message,
            "type": "invalid_request_error",
            "param": None,
            "code": code,
        }
    }


def test_the_master_key_asks_no_model() -> None:
    with pytest.raises(Denied) as denied:
        ask("/v1/chat/completions", MASTER)
    assert denied.value.status == 403


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k "}, "k"),
        ({"authorization": "Basic k"}, ""),
        ({"authorization": "Bearer"}, ""),
        ({"x-api-key": "k"}, "k"),
        ({"api-key": " k"}, "k"),
        ({"authorization": "Bearer one", "x-api-key": "two"}, "one"),
        ({}, ""),
    ],
)
def test_where_the_key_is(headers: dict[str, str], key: str) -> None:
    assert key_of(headers) == key
