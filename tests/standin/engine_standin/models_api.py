"""`/v1/models`, `/tokenize` and `/detokenize`."""

import uuid
from typing import Any

from aiohttp import web

from engine_standin.bodies import json_answer, read
from engine_standin.errors import ApiError
from engine_standin.frontend import FRONTEND
from engine_standin.prompts import render_chat
from engine_standin.requests import DetokenizeRequest, TokenizeRequest


async def models(request: web.Request) -> web.Response:
    """List the served names."""
    frontend = request.app[FRONTEND]
    config = frontend.config
    permission = {
        "object": "model_permission",
        "created": frontend.started,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    cards: list[dict[str, Any]] = [
        {
            "id": name,
            "object": "model",
            "created": frontend.started,
            "owned_by": "vllm",
            "root": config.model,
            "parent": None,
            "max_model_len": config.max_model_len,
            "permission": [{"id": f"modelperm-{uuid.uuid4().hex[:16]}", **permission}],
        }
        for name in config.served_names
    ]
    return json_answer({"object": "list", "data": cards})


async def tokenize(request: web.Request) -> web.Response:
    """Cut a prompt, or the prompt of a chat, into tokens."""
    frontend = request.app[FRONTEND]
    body = await read(request, TokenizeRequest)
    frontend.check_model(body.model)
    frontend.check_open()
    if body.messages is not None:
        tokens = render_chat(
            body.messages, config=frontend.config, tokenizer=frontend.tokenizer, tools=None, thinking=False
        ).tokens
    elif body.prompt is not None:
        tokens = frontend.tokenizer.encode(body.prompt, bos=body.add_special_tokens is not False)
    else:
        raise ApiError(
            "2 validation errors:\n"
            "  {'type': 'missing', 'loc': 'body.prompt', 'msg': 'Field required', 'input': '<dict of 0 items>'}\n"
            "  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required', 'input': '<dict of 0 items>'}",
            kind="Bad Request",
            param="body.prompt",
        )
    answer = {
        "count": len(tokens),
        "max_model_len": frontend.config.max_model_len,
        "tokens": tokens,
        "token_strs": frontend.tokenizer.strings(tokens) if body.return_token_strs else None,
    }
    return json_answer(answer)


async def detokenize(request: web.Request) -> web.Response:
    """Put tokens back together."""
    frontend = request.app[FRONTEND]
    body = await read(request, DetokenizeRequest)
    frontend.check_model(body.model)
    frontend.check_open()
    text = frontend.tokenizer.decode(body.tokens, special=True)
    return json_answer({"prompt": text})
