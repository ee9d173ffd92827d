"""Endpoints beside chat: health, key, models, text completions, tokens, errors of the framework."""

from typing import Any

from tests.unit.standin.conftest import Start, events_of


async def test_health_version_load(start: Start) -> None:
    standin = await start()
    for method, path in (("GET", "/health"), ("GET", "/ping"), ("POST", "/ping")):
        response = await standin.client.request(method, path)
        assert (response.status, await response.text()) == (200, "")
    assert await (await standin.client.get("/version")).json() == {"version": "0.32.0"}
    assert await (await standin.client.get("/load")).json() == {"server_load": 0}


async def test_key_guards_v1_only(start: Start) -> None:
    standin = await start(VLLM_API_KEY="sk-a")
    for path in ("/health", "/metrics", "/load", "/version"):
        assert (await standin.client.get(path)).status == 200
    refused = await standin.client.get("/v1/models")
    assert (refused.status, await refused.json()) == (401, {"error": "Unauthorized"})
    for header, status in (("Bearer sk-a", 200), ("bearer sk-a", 200), ("Bearer sk-b", 401), ("sk-a", 401)):
        response = await standin.client.get("/v1/models", headers={"Authorization": header})
        assert response.status == status, header


async def test_keys_of_the_flag_win(start: Start) -> None:
    standin = await start("--api-key", "sk-1", "sk-2", VLLM_API_KEY="sk-env")
    for key, status in (("sk-1", 200), ("sk-2", 200), ("sk-env", 401)):
        response = await standin.client.get("/v1/models", headers={"Authorization": f"Bearer {key}"})
        assert response.status == status


async def test_models(start: Start) -> None:
    standin = await start("--served-model-name", "a", "b", "--max-model-len=4096")
    listing = await (await standin.client.get("/v1/models")).json()
    assert [card["id"] for card in listing["data"]] == ["a", "b"]
    assert listing["data"][0]["root"] == "google/gemma-4-E2B-it"
    assert listing["data"][0]["max_model_len"] == 4096


async def test_framework_errors(start: Start) -> None:
    standin = await start()
    missing = await standin.client.get("/nope")
    assert (missing.status, await missing.json()) == (404, {"detail": "Not Found"})
    wrong = await standin.client.get("/v1/chat/completions")
    assert (wrong.status, await wrong.json()) == (405, {"detail": "Method Not Allowed"})
    for data, kind, words in (
        (b'{"a":', "application/json", "json_invalid"),
        (b"{}", "text/plain", "Unsupported Media Type: Only 'application/json' is allowed"),
        (b"{}", "application/json", "'loc': 'body.messages', 'msg': 'Field required'"),
    ):
        response = await standin.client.post("/v1/chat/completions", data=data, headers={"Content-Type": kind})
        error = (await response.json())["error"]
        assert (response.status, error["type"]) == (400, "Bad Request")
        assert words in error["message"]


async def post(standin: Any, path: str, **body: Any) -> Any:
    return await (await standin.client.post(path, json=body)).json()


async def test_text_completions(start: Start) -> None:
    standin = await start()
    one = await post(standin, "/v1/completions", prompt="hello", max_tokens=3)
    assert one["object"] == "text_completion"
    assert (one["choices"][0]["finish_reason"], one["usage"]["completion_tokens"]) == ("length", 3)
    assert len((await post(standin, "/v1/completions", prompt=["a", "b"]))["choices"]) == 2
    assert (await post(standin, "/v1/completions", prompt=[5, 6, 7]))["usage"]["prompt_tokens"] == 3
    assert (await post(standin, "/v1/completions", prompt="x"))["usage"]["completion_tokens"] == 16
    refused = await post(standin, "/v1/completions", prompt="")
    assert refused["error"]["param"] == "prompt"
    stream = await standin.client.post(
        "/v1/completions",
        json={"prompt": "hi", "max_tokens": 4, "stream": True, "stream_options": {"include_usage": True}},
    )
    events = events_of(await stream.text())
    assert events[-1] == "[DONE]"
    assert events[-2]["usage"]["completion_tokens"] == 4


async def test_tokens_there_and_back(start: Start) -> None:
    standin = await start()
    text = "Hello,  world\n <b> ünïcode ✓"
    cut = await post(standin, "/tokenize", prompt=text, add_special_tokens=False, return_token_strs=True)
    assert cut["count"] == len(cut["tokens"]) == len(cut["token_strs"])
    assert "".join(cut["token_strs"]) == text
    assert (await post(standin, "/detokenize", tokens=cut["tokens"]))["prompt"] == text
    chat = await post(standin, "/tokenize", messages=[{"role": "user", "content": "hello"}])
    used = await (await standin.chat("hello", max_tokens=1)).json()
    assert chat["count"] == used["usage"]["prompt_tokens"]


async def test_keep_alive_comments_while_nothing_comes(start: Start) -> None:
    standin = await start("--sse-keep-alive-interval=1", mood="hang")
    response = await standin.chat(stream=True)
    assert await response.content.readline() == b": keep-alive\n"
    response.close()
