"""An OpenAI-compatible upstream that does what a test tells it to, and counts what it gets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

ENGINE_KEY = "engine-key-of-the-tests"


class FakeEngine:
    """One endpoint. `mode` decides what happens to the next request."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mode = "ok"
        self.tokens = 3
        self.go_on = asyncio.Event()
        """In mode `wait`: every request stands before its answer, a stream after its first token, until this is set."""
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: set[str] = set()
        self.running = 0
        self.probes = 0
        self.metrics = "none"
        """`vllm`: the engine reports what runs and waits, and `kv`."""
        self.foreign = 0
        """Requests that other router pods have here."""
        self.slots, self.kv = 1000, 0.1
        self.scrapes = 0
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> FakeEngine:
        """Listen; after `stop` on the same port as before."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._chat)
        app.router.add_post("/v1/responses", self._chat)
        app.router.add_post("/v1/messages", self._chat)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """Stop listening: connections are refused from now on."""
        if self._runner is not None:
            server = self._runner.server
            await self._runner.cleanup()
            self._runner = None
            # One accepted just then comes to the server a few turns of the loop later, and nobody else would end it.
            for _ in range(3):
                await asyncio.sleep(0)
            if server is not None:
                await server.shutdown(0.1)

    async def _health(self, _: web.Request) -> web.Response:
        self.probes += 1
        return web.Response()

    async def _metrics(self, request: web.Request) -> web.Response:
        if self.metrics == "none":
            return web.Response(status=404)
        assert request.headers["Authorization"] == f"Bearer {ENGINE_KEY}"
        running = min(self.running + self.foreign, self.slots)
        waiting = self.running + self.foreign - running
        lines = [
            f'vllm:num_requests_running{{engine="0",model_name="m"}} {running:.1f}',
            f'vllm:num_requests_waiting{{engine="0",model_name="m"}} {waiting:.1f}',
            f'vllm:kv_cache_usage_perc{{engine="0",model_name="m"}} {self.kv}',
        ]
        self.scrapes += 1
        return web.Response(text="\n".join([*lines, ""]))

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.authorizations.add(request.headers.get("Authorization", ""))
        body = await request.json()
        self.bodies.append(body)
        self.running += 1
        try:
            return await self._answer(request, body)
        finally:
            self.running -= 1

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if self.mode == "shutdown":
            return _error(500, "cannot schedule new futures after shutdown")
        if self.mode == "broken":
            return _error(500, "the engine is broken")
        if self.mode == "slow-error":
            await self.go_on.wait()
        if self.mode in ("too-long", "slow-error"):
            return _error(400, "This model's maximum context length is 8192 tokens.")
        if body.get("stream"):
            return await self._stream(request, body)
        if self.mode == "wait":
            await self.go_on.wait()
        if request.path != "/v1/chat/completions":
            return web.json_response(_other(request.path, self.name, body["model"]))
        message = {"role": "assistant", "content": self.name}
        return web.json_response(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": self.tokens, "total_tokens": 1 + self.tokens},
            }
        )

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for index in range(self.tokens):
            await _event(response, _chunk(body["model"], {"role": "assistant", "content": f"{index} "}))
            if index == 0 and self.mode == "wait":
                await self.go_on.wait()
            if index == 1 and self.mode == "cut":
                assert request.transport is not None
                request.transport.abort()
                return response
            if index == 1 and self.mode == "error-event":
                await _event(response, {"error": {"message": "EngineCore encountered an issue", "code": 500}})
                await response.write(b"data: [DONE]\n\n")
                return response
        await _event(response, _chunk(body["model"], {}, finish="stop"))
        usage = {"prompt_tokens": 1, "completion_tokens": self.tokens, "total_tokens": 1 + self.tokens}
        await _event(response, {**_chunk(body["model"], {}), "choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        return response


def _other(path: str, text: str, model: str) -> dict[str, Any]:
    """The answer of the APIs that are not chat completions, in their shortest form."""
    usage = {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4}
    if path == "/v1/completions":
        choice = {"index": 0, "text": text, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
        return {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 1,
            "model": model,
            "choices": [choice],
            "usage": usage,
        }
    if path == "/v1/messages":
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content}
        return {**message, "stop_reason": "end_turn", "usage": usage}
    content = [{"type": "output_text", "text": text, "annotations": []}]
    output: list[dict[str, Any]] = [
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    ]
    answer: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": model,
    }
    return {**answer, "output": output, "usage": usage, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}


def _chunk(model: str, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


async def _event(response: web.StreamResponse, payload: dict[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(payload).encode() + b"\n\n")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "Error", "code": status}}, status=status)
