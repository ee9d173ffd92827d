"""Endpoints and the shape of good answers."""

import json

from conformance.conftest import KEY
from conformance.engines import Engine, wait_for


def test_health_and_ping_are_empty_200(engine: Engine) -> None:
    for method, path in (("GET", "/health"), ("GET", "/ping"), ("POST", "/ping")):
        answer = engine.request(method, path)
        assert (answer.status, answer.text) == (200, ""), f"{method} {path}"


def test_version_is_the_checked_one(engine: Engine) -> None:
    assert engine.request("GET", "/version").json == {"version": "0.32.0"}


def test_load(engine: Engine) -> None:
    assert engine.request("GET", "/load").json == {"server_load": 0}


def test_unknown_path(engine: Engine) -> None:
    answer = engine.request("GET", "/nope")
    assert (answer.status, answer.json) == (404, {"detail": "Not Found"})


def test_models_lists_every_served_name(engine: Engine) -> None:
    listing = engine.request("GET", "/v1/models").json
    assert listing["object"] == "list"
    assert [entry["id"] for entry in listing["data"]] == ["chat", "gpt-4o-mini"]
    for entry in listing["data"]:
        assert entry["object"] == "model"
        assert entry["owned_by"] == "vllm"
        assert entry["max_model_len"] == 8192
        assert {"created", "root", "parent", "permission"} <= set(entry)


def test_chat_without_stream(engine: Engine) -> None:
    answer = engine.chat(max_tokens=5)
    assert answer.status == 200
    body = answer.json
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert body["model"] == "chat"
    choice = body["choices"][0]
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] == "length"
    usage = body["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 5


def test_an_alias_is_answered_with_the_first_name(engine: Engine) -> None:
    assert engine.chat(model="gpt-4o-mini", max_tokens=2).json["model"] == "chat"


def test_chat_stream(engine: Engine) -> None:
    stream = engine.stream(max_tokens=12)
    wait_for("the stream to end", stream.ended, seconds=60)
    assert stream.status == 200
    assert stream.done
    assert {event["object"] for event in stream.events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in stream.events}) == 1
    assert stream.events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert stream.finish_reason() == "length"
    assert stream.events[-1]["choices"] == []
    assert stream.usage()["completion_tokens"] == 12


def test_stream_is_server_sent_events(engine: Engine) -> None:
    body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "stream": True}
    answer = engine.request("POST", "/v1/chat/completions", body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert "usage" not in json.loads(lines[-2].removeprefix("data: "))


def test_completions(engine: Engine) -> None:
    body = {"model": "chat", "prompt": "hello", "max_tokens": 3, "ignore_eos": True}
    answer = engine.request("POST", "/v1/completions", body).json
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3


def test_output_is_cut_at_the_context_limit(engine: Engine) -> None:
    usage = engine.chat(prompt="x" * 7000, max_tokens=8000).json["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] <= 8192
    assert usage["completion_tokens"] < 8000


def test_key_guards_v1_only(engine: Engine) -> None:
    for path in ("/health", "/ping", "/load", "/version", "/metrics"):
        assert engine.request("GET", path, key="").status == 200, path
    for key in ("", "wrong"):
        answer = engine.request("GET", "/v1/models", key=key)
        assert (answer.status, answer.json) == (401, {"error": "Unauthorized"})
    assert engine.request("GET", "/v1/models", key=KEY).status == 200
