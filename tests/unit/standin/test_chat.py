"""Chat: shapes of answers, tools, thinking, limits and refusals."""

import json
from typing import Any

import pytest

from tests.unit.standin.conftest import PARSERS, Start

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "unit"],
        },
    },
}


async def test_answer_in_one_piece(start: Start) -> None:
    standin = await start("--served-model-name", "chat", "alias")
    response = await standin.chat(model="alias", max_tokens=5, ignore_eos=True)
    body = await response.json()
    assert response.headers["Content-Type"] == "application/json"
    assert body["model"] == "chat"
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + 5


async def test_an_answer_ends_by_itself(start: Start) -> None:
    standin = await start(STANDIN_OUTPUT_TOKENS="20")
    body = await (await standin.chat()).json()
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] == 21


async def test_same_prompt_same_answer(start: Start) -> None:
    standin = await start()
    texts = [(await (await standin.chat("tell me")).json())["choices"][0]["message"]["content"] for _ in range(2)]
    assert texts[0] == texts[1]


async def test_stream_carries_all_tokens_and_usage(start: Start) -> None:
    standin = await start()
    events = await standin.events(max_tokens=30, ignore_eos=True, stream_options={"include_usage": True})
    assert events[-1] == "[DONE]"
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert events[-3]["choices"][0]["finish_reason"] == "length"
    assert events[-2]["choices"] == []
    assert events[-2]["usage"]["completion_tokens"] == 30
    streamed = "".join(event["choices"][0]["delta"].get("content", "") for event in events[:-2])
    whole = await (await standin.chat(max_tokens=30, ignore_eos=True)).json()
    assert streamed == whole["choices"][0]["message"]["content"]


async def test_without_usage_the_last_chunk_has_the_fingerprint(start: Start) -> None:
    standin = await start()
    events = await standin.events(max_tokens=3)
    assert all("usage" not in event for event in events[:-1])
    assert events[-2]["system_fingerprint"].startswith("vllm-0.32.0-")


async def test_tokens_share_chunks(start: Start) -> None:
    standin = await start("--stream-interval=10", STANDIN_TOKENS_PER_SECOND="100")
    events = await standin.events(max_tokens=31, ignore_eos=True)
    chunks = [event for event in events[1:-1] if event["choices"][0]["delta"].get("content")]
    assert 4 <= len(chunks) <= 5


async def test_several_answers(start: Start) -> None:
    standin = await start()
    body = await (await standin.chat(n=3, max_tokens=20)).json()
    texts = [choice["message"]["content"] for choice in body["choices"]]
    assert len(set(texts)) == 3
    assert body["usage"]["completion_tokens"] == 60
    events = await standin.events(n=2, max_tokens=5)
    assert {event["choices"][0]["index"] for event in events[:-1]} == {0, 1}


async def test_stop_strings_end_the_answer(start: Start) -> None:
    standin = await start()
    body = await (await standin.chat("hello there", stop=["there"])).json()
    choice = body["choices"][0]
    assert choice["message"]["content"] == "You said: hello "
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "there")
    kept = await (await standin.chat("hello there", stop="there", include_stop_str_in_output=True)).json()
    assert kept["choices"][0]["message"]["content"].endswith("there")
    events = await standin.events("hello there", stop=["there"])
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events[:-1]) == "You said: hello "


async def test_tool_call(start: Start) -> None:
    standin = await start(*PARSERS)
    body = await (await standin.chat("what is the weather? get it", tools=[WEATHER])).json()
    choice = body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    call = choice["message"]["tool_calls"][0]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "text", "unit": "C"}


async def test_tool_call_in_a_stream(start: Start) -> None:
    standin = await start(*PARSERS)
    events = await standin.events("get_weather", tools=[WEATHER])
    deltas = [d for e in events[:-1] for d in e["choices"][0]["delta"].get("tool_calls", [])]
    assert deltas[0]["function"]["name"] == "get_weather"
    assert deltas[0]["id"].startswith("chatcmpl-tool-")
    assert all("name" not in delta["function"] for delta in deltas[1:])
    assert json.loads("".join(delta["function"]["arguments"] for delta in deltas))["unit"] == "C"
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_tools_are_left_alone_unless_asked_for(start: Start) -> None:
    standin = await start(*PARSERS)
    body = await (await standin.chat("hello", tools=[WEATHER])).json()
    assert "tool_calls" not in body["choices"][0]["message"]
    answered: list[dict[str, Any]] = [
        {"role": "user", "content": "get_weather"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "rain", "tool_call_id": "x"},
    ]
    body = await (await standin.chat(messages=answered, tools=[WEATHER])).json()
    assert "rain" in body["choices"][0]["message"]["content"]


async def test_required_and_named_tools(start: Start) -> None:
    standin = await start(*PARSERS)
    required = await (await standin.chat("hello", tools=[WEATHER], tool_choice="required")).json()
    assert required["choices"][0]["finish_reason"] == "tool_calls"
    choice = {"type": "function", "function": {"name": "get_weather"}}
    named = await (await standin.chat("hello", tools=[WEATHER], tool_choice=choice)).json()
    assert named["choices"][0]["finish_reason"] == "stop"
    assert named["choices"][0]["message"]["tool_calls"]


async def test_thinking_needs_the_request_and_the_parser(start: Start) -> None:
    with_parser = await start(*PARSERS)
    kwargs = {"enable_thinking": True}
    message = (await (await with_parser.chat(chat_template_kwargs=kwargs)).json())["choices"][0]["message"]
    assert message["reasoning"].startswith("The request is: hello")
    assert message["content"].startswith("You said")
    plain = (await (await with_parser.chat()).json())["choices"][0]["message"]
    assert plain["reasoning"] is None
    without = await start()
    message = (await (await without.chat(chat_template_kwargs=kwargs)).json())["choices"][0]["message"]
    assert message["reasoning"] is None
    assert message["content"].startswith("thought\n")


async def test_reasoning_tokens_are_counted(start: Start) -> None:
    standin = await start(*PARSERS, '--default-chat-template-kwargs={"enable_thinking": true}')
    usage = (await (await standin.chat()).json())["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] > 5


async def test_json_is_bound_to_the_schema(start: Start) -> None:
    standin = await start()
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = await (await standin.chat(response_format=form)).json()
    assert json.loads(body["choices"][0]["message"]["content"]) == {"n": 3}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


async def test_images_and_sounds_count(start: Start) -> None:
    standin = await start('--limit-mm-per-prompt={"image": 2, "audio": 1, "video": 0}')
    text = {"type": "text", "text": "look"}
    bare = (await (await standin.chat(messages=[{"role": "user", "content": [text]}])).json())["usage"]
    content = [text, IMAGE, IMAGE, AUDIO]
    full = (await (await standin.chat(messages=[{"role": "user", "content": content}])).json())["usage"]
    assert full["prompt_tokens"] - bare["prompt_tokens"] == 2 * 280 + 750
    response = await standin.chat(messages=[{"role": "user", "content": [IMAGE] * 3}])
    assert response.status == 400
    assert "At most 2 image(s) may be provided in one prompt." in (await response.json())["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "status", "param", "words"),
    [
        ({"model": "nope"}, 404, "model", "The model `nope` does not exist. Valid aliases: "),
        ({"max_tokens": 9000}, 400, "max_tokens", "max_tokens=9000 cannot be greater than max_model_len=8192."),
        ({"max_completion_tokens": 9000}, 400, "max_completion_tokens", "max_completion_tokens=9000 cannot"),
        ({"max_tokens": 0}, 400, "max_tokens", "max_tokens must be at least 1, got 0."),
        ({"temperature": -1}, 400, "temperature", "temperature must be non-negative, got -1.0."),
        ({"n": 0}, 400, None, "n must be at least 1, got 0."),
        ({"n": 2, "temperature": 0}, 400, None, "n must be 1 when using greedy sampling, got 2."),
        ({"stop": [""]}, 400, None, "stop cannot contain an empty string."),
        ({"messages": "hi"}, 400, "body.messages", "1 validation error:"),
        ({"tools": []}, 400, "tools", "`tools` must not be an empty array."),
        ({"tools": [WEATHER]}, 400, None, '"auto" tool choice requires --enable-auto-tool-choice and'),
        (
            {"tools": [WEATHER], "tool_choice": "required"},
            400,
            None,
            'tool_choice="required" requires --tool-call-parser to be set',
        ),
        ({"tool_choice": "auto"}, 400, "tool_choice", "When using `tool_choice`, `tools` must be set."),
        ({"stream_options": {}, "logprobs": True}, 400, "logprobs", "`logprobs` is not supported by the engine"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options", "Stream options can only be"),
        ({"chat_template": "x"}, 400, None, "--trust-request-chat-template is not set"),
        ({"response_format": {"type": "json_schema"}}, 400, "response_format", "the 'json_schema' field must"),
        (
            {"messages": [{"role": "user", "content": "word " * 9000}]},
            400,
            "input_tokens",
            "This model's maximum context length is 8192 tokens.",
        ),
    ],
)
async def test_refusals(start: Start, fields: dict[str, Any], status: int, param: str | None, words: str) -> None:
    standin = await start("--max-model-len=8192")
    response = await standin.chat(**fields)
    error = (await response.json())["error"]
    assert response.status == status
    assert error["message"].startswith(words) or words in error["message"]
    assert (error["param"], error["code"]) == (param, status)


async def test_an_answer_is_cut_at_the_context(start: Start) -> None:
    standin = await start("--max-model-len=100")
    body = await (await standin.chat("word " * 60, max_tokens=90, ignore_eos=True)).json()
    assert body["usage"]["total_tokens"] == 100
    assert body["choices"][0]["finish_reason"] == "length"
