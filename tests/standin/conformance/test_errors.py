"""Requests that are refused: status, message and the fields that a client or router reads."""

from typing import Any

import pytest
from conformance.engines import Engine, chat_body


def refusal(engine: Engine, body: Any) -> tuple[int, dict[str, Any]]:
    answer = engine.request("POST", "/v1/chat/completions", body)
    error: dict[str, Any] = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == answer.status
    return answer.status, error


def test_unknown_model(engine: Engine) -> None:
    status, error = refusal(engine, chat_body(model="nope"))
    assert status == 404
    assert error["message"] == "The model `nope` does not exist. Valid aliases: chat, gpt-4o-mini."
    assert (error["type"], error["param"]) == ("NotFoundError", "model")


def test_more_output_than_context(engine: Engine) -> None:
    status, error = refusal(engine, chat_body(max_tokens=9000))
    assert status == 400
    assert error["message"].startswith("max_tokens=9000 cannot be greater than max_model_len=8192.")
    assert (error["type"], error["param"]) == ("BadRequestError", "max_tokens")


def test_prompt_longer_than_context(engine: Engine) -> None:
    status, error = refusal(engine, chat_body(prompt="x " * 9000))
    assert status == 400
    assert "maximum context length is 8192 tokens" in error["message"]
    assert "input tokens" in error["message"]
    assert (error["type"], error["param"]) == ("BadRequestError", "input_tokens")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_tokens", 0, "max_tokens must be at least 1, got 0."),
        ("temperature", -1, "temperature must be non-negative, got -1.0."),
    ],
)
def test_value_out_of_range(engine: Engine, field: str, value: int, message: str) -> None:
    status, error = refusal(engine, {**chat_body(), field: value})
    assert status == 400
    assert error["message"].startswith(message)
    assert (error["type"], error["param"]) == ("BadRequestError", field)


def test_wrong_type(engine: Engine) -> None:
    status, error = refusal(engine, {"model": "chat", "messages": "hi"})
    assert status == 400
    assert error["message"].startswith("1 validation error:")
    assert (error["type"], error["param"]) == ("Bad Request", "body.messages")


def test_broken_json(engine: Engine) -> None:
    status, error = refusal(engine, '{"model":"chat",')
    assert status == 400
    assert "json_invalid" in error["message"]
    assert error["type"] == "Bad Request"
