"""Turns a checked request into scripts: thinking, tools and structured output as the flags allow."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine_standin.config import EngineConfig
from engine_standin.errors import ApiError
from engine_standin.prompts import Prompt
from engine_standin.requests import ChatRequest, Generation
from engine_standin.script import Limits, Script
from engine_standin.writer import Brief, chosen_tool, write


def wants_thinking(request: ChatRequest, config: EngineConfig) -> bool:
    """Tell whether the chat template would let the model think."""
    own = request.chat_template_kwargs or {}
    if "enable_thinking" in own:
        return bool(own["enable_thinking"])
    if request.reasoning_effort is not None:
        return request.reasoning_effort != "none"
    return bool(config.template_defaults.get("enable_thinking", False))


def check_tool_choice(request: ChatRequest, config: EngineConfig) -> None:
    """Refuse tools when the flags that they need are not set."""
    if config.tool_parser is not None or request.tool_choice in (None, "none"):
        return
    if request.tool_choice == "auto":
        raise ApiError('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')
    if isinstance(request.tool_choice, dict):
        described = f'function "{request.tool_choice["function"]["name"]}"'
    else:
        described = f'"{request.tool_choice}"'
    raise ApiError(f"tool_choice={described} requires --tool-call-parser to be set")


def check_template(request: ChatRequest, config: EngineConfig) -> None:
    """Refuse a chat template that comes with the request unless a flag trusts it."""
    own = request.chat_template_kwargs or {}
    if (
        request.chat_template is not None or own.get("chat_template") is not None
    ) and not config.args.trust_request_chat_template:
        raise ApiError(
            "Chat template is passed with request, but --trust-request-chat-template is not set. "
            "Refused request with untrusted chat template."
        )


def _limits(request: Generation, max_tokens: int) -> Limits:
    return Limits(
        max_tokens=max_tokens,
        min_tokens=request.min_tokens,
        stop=tuple(request.stops),
        keep_stop=request.include_stop_str_in_output,
        ignore_eos=request.ignore_eos,
    )


def _structure(request: Generation) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    """Return the JSON schema and the choices that bind the content."""
    form = request.response_format or {}
    if form.get("type") == "json_object":
        return {"type": "object"}, ()
    if form.get("type") == "json_schema":
        return form["json_schema"].get("schema") or {"type": "object"}, ()
    bound = request.structured_outputs or {}
    if bound.get("choice"):
        return None, tuple(str(item) for item in bound["choice"])
    if bound.get("json_object"):
        return {"type": "object"}, ()
    schema = bound.get("json")
    return (schema if isinstance(schema, Mapping) else None), ()


def _tools(request: ChatRequest) -> dict[str, Mapping[str, Any]]:
    functions = [tool.get("function", {}) for tool in request.tools or ()]
    return {str(function.get("name")): function.get("parameters") or {"type": "object"} for function in functions}


def _call(request: ChatRequest, prompt: Prompt, tools: Mapping[str, Any]) -> str | None:
    """Return the tool to call, if any: the one asked for, or one that the user's words name."""
    if isinstance(request.tool_choice, dict):
        return str(request.tool_choice["function"]["name"])
    if request.tool_choice not in ("auto", "required") or not tools:
        return None
    answered = request.messages[-1].get("role") == "tool"
    found = None if answered else chosen_tool(prompt.said, list(tools))
    return found or (next(iter(tools)) if request.tool_choice == "required" else None)


def chat_scripts(request: ChatRequest, prompt: Prompt, *, config: EngineConfig, max_tokens: int) -> list[Script]:
    """Return the `n` answers to a chat."""
    tools = _tools(request)
    schema, choice = _structure(request)
    brief = Brief(
        said=prompt.said,
        limits=_limits(request, max_tokens),
        output_tokens=config.settings.output_tokens,
        thinking=wants_thinking(request, config),
        split_thinking=config.reasoning_parser is not None,
        tools=tools,
        call=_call(request, prompt, tools),
        schema=schema,
        choice=choice,
        turn=prompt.turn,
    )
    return _several(brief, request.n or 1)


def text_scripts(request: Generation, said: str, *, config: EngineConfig, max_tokens: int) -> list[Script]:
    """Return the `n` continuations of a text."""
    schema, choice = _structure(request)
    brief = Brief(
        said=said,
        limits=_limits(request, max_tokens),
        output_tokens=config.settings.output_tokens,
        schema=schema,
        choice=choice,
    )
    return _several(brief, request.n or 1)


def _several(brief: Brief, n: int) -> list[Script]:
    return [write(replace(brief, turn=brief.turn + index)) for index in range(n)]
