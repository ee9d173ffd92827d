"""`POST /v1/completions`."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from engine_standin import sse
from engine_standin.answers import text_scripts
from engine_standin.bodies import json_answer, read
from engine_standin.engine import Progress
from engine_standin.frontend import FRONTEND, Frontend
from engine_standin.prompts import check_length
from engine_standin.requests import CompletionRequest
from engine_standin.script import Script
from engine_standin.sequences import Sequence
from engine_standin.usage import running, stream_rules, usage


class TextAnswer:
    """One completion request: one or more prompts, `n` answers to each, numbered through."""

    def __init__(self, frontend: Frontend, request: CompletionRequest, *, name: str) -> None:
        self.frontend = frontend
        self.request = request
        self.name = name
        self.created = int(time.time())
        self.prompts: list[list[int]] = []
        self.scripts: list[list[Script]] = []
        self.max_tokens: list[int] = []

    def prepare(self) -> None:
        """Check the request and write the scripts."""
        frontend, request = self.frontend, self.request
        frontend.check_model(request.model)
        frontend.admit(n=request.n or 1)
        frontend.check_open()
        for prompt in self._split():
            tokens = prompt if isinstance(prompt, list) else frontend.tokenizer.encode(prompt, bos=True)
            text = prompt if isinstance(prompt, str) else frontend.tokenizer.decode(prompt)
            most = check_length(len(tokens), config=frontend.config, wanted=request.max_tokens, field="max_tokens")
            request.check_sampling(max_tokens=most)
            self.prompts.append(tokens)
            self.max_tokens.append(most)
            self.scripts.append(text_scripts(request, text, config=frontend.config, max_tokens=most))

    def _split(self) -> list[str | list[int]]:
        prompt = self.request.prompt
        if isinstance(prompt, str):
            return [prompt]
        if isinstance(prompt[0], int):
            return [[number for number in prompt if isinstance(number, int)]]
        return [item for item in prompt if not isinstance(item, int)]

    def start(self) -> list[Sequence]:
        """Queue everything."""
        return [
            sequence
            for tokens, scripts, most in zip(self.prompts, self.scripts, self.max_tokens, strict=True)
            for sequence in self.frontend.start(tokens, scripts, max_tokens=most)
        ]

    def _usage(self, completion: int, cached: int) -> dict[str, Any]:
        details = cached if self.frontend.config.args.enable_prompt_tokens_details else None
        prompt = sum(len(tokens) for tokens in self.prompts)
        return usage(prompt, completion, cached=details, reasoning=None)

    def whole(self, progress: list[Progress]) -> dict[str, Any]:
        """Return the answer in one piece."""
        scripts = [script for several in self.scripts for script in several]
        choices = [
            {
                "index": index,
                "text": script.text(0, len(script.tokens), "content"),
                "logprobs": None,
                "finish_reason": last.finished,
                "stop_reason": script.stop_reason,
                "token_ids": None,
                "prompt_logprobs": None,
                "prompt_token_ids": None,
                "routed_experts": None,
            }
            for index, (script, last) in enumerate(zip(scripts, progress, strict=True))
        ]
        return {
            "id": self.name,
            "object": "text_completion",
            "created": self.created,
            "model": self.frontend.config.name,
            "choices": choices,
            "service_tier": None,
            "system_fingerprint": self.frontend.config.fingerprint,
            "usage": self._usage(sum(last.emitted for last in progress), progress[0].cached),
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "metrics": None,
        }

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": self.name,
            "object": "text_completion",
            "created": self.created,
            "model": self.frontend.config.name,
            "choices": choices,
            **more,
        }

    async def events(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the chunks of a stream as tokens come."""
        frontend = self.frontend
        rules = stream_rules(self.request, frontend.config.args)
        fingerprint = frontend.config.fingerprint
        sequences = self.start()
        scripts = [script for several in self.scripts for script in several]
        sent = [0] * len(sequences)
        cached = 0
        async with aclosing(frontend.merged(sequences)) as merged:
            async for index, progress in merged:
                cached = progress.cached
                if not rules.due(sent[index], progress):
                    continue
                choice = {
                    "index": index,
                    "text": scripts[index].text(sent[index], progress.emitted, "content"),
                    "logprobs": None,
                    "finish_reason": progress.finished,
                    "stop_reason": scripts[index].stop_reason if progress.finished else None,
                    "prompt_token_ids": None,
                    "token_ids": None,
                }
                sent[index] = progress.emitted
                more = {"usage": running(self._usage(sent[index], cached))} if rules.usage_always else {}
                if progress.finished and not rules.usage_last and fingerprint:
                    yield self._chunk([choice], **more, system_fingerprint=fingerprint)
                else:
                    yield self._chunk([choice], **more)
        if rules.usage_last:
            last = {key: value for key, value in self._usage(sum(sent), cached).items() if value is not None}
            yield self._chunk([], usage=last, system_fingerprint=fingerprint)


async def completions(request: web.Request) -> web.StreamResponse:
    """Continue a text."""
    frontend = request.app[FRONTEND]
    body = await read(request, CompletionRequest)
    answer = TextAnswer(frontend, body, name=frontend.request_id(request, body.request_id, prefix="cmpl"))
    answer.prepare()
    if body.stream:
        interval = float(frontend.config.args.sse_keep_alive_interval)
        return await sse.stream(request, answer.events(), moods=frontend.moods, keep_alive=interval)
    progress = await frontend.finish(answer.start())
    return json_answer(answer.whole(progress))
