"""`POST /v1/chat/completions`."""

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from engine_standin import sse
from engine_standin.answers import chat_scripts, check_template, check_tool_choice, wants_thinking
from engine_standin.bodies import json_answer, read
from engine_standin.engine import Progress
from engine_standin.frontend import FRONTEND, Frontend
from engine_standin.prompts import check_length, render_chat
from engine_standin.requests import ChatRequest
from engine_standin.script import Script
from engine_standin.usage import running, stream_rules, usage


class ChatAnswer:
    """One chat request on its way: builds the answer in one piece, or in events."""

    def __init__(self, frontend: Frontend, request: ChatRequest, *, name: str) -> None:
        self.frontend = frontend
        self.request = request
        self.name = name
        self.created = int(time.time())
        self.prompt_tokens = 0
        self.scripts: list[Script] = []
        self.max_tokens = 0

    def prepare(self) -> list[int]:
        """Check the request and write the scripts; returns the prompt's tokens."""
        config, request = self.frontend.config, self.request
        self.frontend.check_model(request.model)
        self.frontend.admit(n=request.n or 1)
        check_tool_choice(request, config)
        check_template(request, config)
        wanted, field = request.wanted_tokens
        self.frontend.check_open()
        prompt = render_chat(
            request.messages,
            config=config,
            tokenizer=self.frontend.tokenizer,
            tools=request.tools,
            thinking=wants_thinking(request, config),
            answer=request.add_generation_prompt,
        )
        self.prompt_tokens = len(prompt.tokens)
        self.max_tokens = check_length(self.prompt_tokens, config=config, wanted=wanted, field=field)
        request.check_sampling(max_tokens=self.max_tokens)
        self.scripts = chat_scripts(request, prompt, config=config, max_tokens=self.max_tokens)
        return prompt.tokens

    def _usage(self, done: list[int], cached: int) -> dict[str, Any]:
        reasoning = None
        if self.frontend.config.reasoning_parser:
            reasoning = sum(
                script.count(tokens, "reasoning") for script, tokens in zip(self.scripts, done, strict=True)
            )
        details = cached if self.frontend.config.args.enable_prompt_tokens_details else None
        return usage(self.prompt_tokens, sum(done), cached=details, reasoning=reasoning)

    def _finish_reason(self, script: Script, progress: Progress) -> str:
        named = isinstance(self.request.tool_choice, dict)
        if script.calls and not named and progress.finished == "stop":
            return "tool_calls"
        return progress.finished or "stop"

    def _parsed(self, *, streaming: bool, called: bool) -> None:
        if self.request.tools and self.request.tool_choice != "none":
            self.frontend.engine.metrics.parsed(streaming=streaming, called=called)

    def _message(self, script: Script) -> dict[str, Any]:
        end = len(script.tokens)
        self._parsed(streaming=False, called=bool(script.calls))
        calls = [
            {
                "id": f"chatcmpl-tool-{uuid.uuid4().hex[:16]}",
                "type": "function",
                "function": {"name": name, "arguments": script.text(0, end, "call")},
            }
            for name in script.calls
        ]
        forced = self.request.tool_choice == "required" or isinstance(self.request.tool_choice, dict)
        content = script.text(0, end, "content")
        reasoning = script.text(0, end, "reasoning") if self.request.include_reasoning else ""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content if content or not calls or forced else None,
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
        }
        if calls:
            message["tool_calls"] = calls
        return {**message, "reasoning": reasoning or None}

    def whole(self, progress: list[Progress]) -> dict[str, Any]:
        """Return the answer in one piece."""
        choices = [
            {
                "index": index,
                "message": self._message(script),
                "logprobs": None,
                "finish_reason": self._finish_reason(script, last),
                "stop_reason": script.stop_reason,
                "token_ids": None,
                "routed_experts": None,
            }
            for index, (script, last) in enumerate(zip(self.scripts, progress, strict=True))
        ]
        return {
            "id": self.name,
            "object": "chat.completion",
            "created": self.created,
            "model": self.frontend.config.name,
            "choices": choices,
            "service_tier": None,
            "system_fingerprint": self.frontend.config.fingerprint,
            "usage": self._usage([last.emitted for last in progress], progress[0].cached),
            "prompt_logprobs": None,
            "prompt_token_ids": None,
            "prompt_text": None,
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "metrics": None,
        }

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": self.name,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.frontend.config.name,
            "choices": choices,
            **more,
        }

    def _delta(self, script: Script, start: int, end: int) -> dict[str, Any] | None:
        """Return the new parts of the message; None when only control tokens came."""
        delta: dict[str, Any] = {}
        if content := script.text(start, end, "content"):
            delta["content"] = content
        if self.request.include_reasoning and (thought := script.text(start, end, "reasoning")):
            delta["reasoning"] = thought
        arguments = script.text(start, end, "call")
        if script.calls and arguments:
            function: dict[str, Any] = {"arguments": arguments}
            call: dict[str, Any] = {"index": 0, "function": function}
            if not script.count(start, "call"):
                function["name"] = script.calls[0]
                call |= {"id": f"chatcmpl-tool-{uuid.uuid4().hex[:16]}", "type": "function"}
            delta["tool_calls"] = [call]
        return delta or None

    def _openings(self, number: int, usage: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the chunks that come before any token: one per answer, with the role."""
        return [
            self._chunk(
                [
                    {
                        "index": index,
                        "delta": {"role": "assistant", "content": ""},
                        "logprobs": None,
                        "finish_reason": None,
                    }
                ],
                prompt_token_ids=None,
                prompt_text=None,
                **usage,
            )
            for index in range(number)
        ]

    def _piece(self, index: int, start: int, progress: Progress) -> dict[str, Any] | None:
        """Return the next choice of answer `index`; None when there is nothing to tell."""
        script = self.scripts[index]
        delta = self._delta(script, start, progress.emitted)
        self._parsed(streaming=True, called=bool(delta and "tool_calls" in delta))
        if delta is None and not progress.finished:
            return None
        choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": None}
        if progress.finished:
            choice["finish_reason"] = self._finish_reason(script, progress)
            choice["stop_reason"] = script.stop_reason
        return {**choice, "token_ids": None}

    async def events(self, prompt: list[int]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the chunks of a stream as tokens come."""
        frontend = self.frontend
        rules = stream_rules(self.request, frontend.config.args)
        fingerprint = frontend.config.fingerprint
        sequences = frontend.start(prompt, self.scripts, max_tokens=self.max_tokens)
        sent = [0] * len(sequences)
        cached, opened = 0, False

        def usage_now() -> dict[str, Any]:
            return {"usage": running(self._usage(sent, cached))} if rules.usage_always else {}

        async with aclosing(frontend.merged(sequences)) as merged:
            async for index, progress in merged:
                cached = progress.cached
                if not opened:
                    opened = True
                    for chunk in self._openings(len(sequences), usage_now()):
                        yield chunk
                if not rules.due(sent[index], progress):
                    continue
                choice = self._piece(index, sent[index], progress)
                sent[index] = progress.emitted
                if choice is None:
                    continue
                more = usage_now()
                if progress.finished and not rules.usage_last and fingerprint:
                    more["system_fingerprint"] = fingerprint
                yield self._chunk([choice], **more)
        if rules.usage_last:
            last = {key: value for key, value in self._usage(sent, cached).items() if value is not None}
            yield self._chunk([], usage=last, system_fingerprint=fingerprint)


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a chat."""
    frontend = request.app[FRONTEND]
    body = await read(request, ChatRequest)
    name = frontend.request_id(request, body.request_id, prefix="chatcmpl")
    answer = ChatAnswer(frontend, body, name=name)
    prompt = answer.prepare()
    if body.stream:
        interval = float(frontend.config.args.sse_keep_alive_interval)
        return await sse.stream(request, answer.events(prompt), moods=frontend.moods, keep_alive=interval)
    sequences = frontend.start(prompt, answer.scripts, max_tokens=answer.max_tokens)
    progress = await frontend.finish(sequences)
    return json_answer(answer.whole(progress))
