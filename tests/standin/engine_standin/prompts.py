"""Renders messages into a prompt the way Gemma 4's chat template does, and counts images and sounds."""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine_standin.config import EngineConfig, item_tokens
from engine_standin.errors import ApiError, invalid
from engine_standin.tokens import SPECIAL, Tokenizer

_SOFT_TOKEN = SPECIAL.index("<unk>")
_KINDS = {
    "image_url": "image",
    "image_pil": "image",
    "image_embeds": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "audio_embeds": "audio",
    "video_url": "video",
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token numbers, what the user said last, and how many messages came before."""

    tokens: list[int]
    said: str
    turn: int


def _url(part: Mapping[str, Any]) -> str:
    value = part.get(part["type"], part.get("url"))
    return str(value.get("url", "")) if isinstance(value, Mapping) else str(value or "")


def _check_data(part: Mapping[str, Any]) -> None:
    """Refuse inline data that is not base64; nothing is fetched for a remote address."""
    text = _url(part)
    if part["type"] == "input_audio":
        text = str((part.get("input_audio") or {}).get("data", ""))
    elif not text.startswith("data:"):
        if not text.startswith(("http://", "https://")):
            raise invalid("The URL must be either a HTTP, data or file URL.")
        return
    try:
        base64.b64decode(text.rpartition(",")[2], validate=True)
    except binascii.Error as error:
        raise ApiError(str(error)) from error


def _content(content: Any, media: Counter[str]) -> str:
    """Return the text of a message's content and count its media."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = part.get("type")
        if kind in ("text", "input_text", "output_text", "refusal", "thinking"):
            texts.append(str(part.get("text", part.get(kind, ""))))
        elif kind in _KINDS:
            media[_KINDS[kind]] += 1
            _check_data(part)
        else:
            raise ApiError(f"Unknown part type: {kind}")
    return "\n".join(texts)


def check_media(media: Mapping[str, int], config: EngineConfig) -> None:
    """Refuse more images, sounds or videos than one prompt may hold."""
    for kind, number in media.items():
        if not config.profile.media:
            raise ApiError(f"{config.name} is not a multimodal model")
        limit = config.media_limits.get(kind, 0)
        if number > limit:
            text = f"At most {limit} {kind}(s) may be provided in one prompt."
            raise invalid(text, param=kind)


def render_chat(
    messages: Sequence[Mapping[str, Any]],
    *,
    config: EngineConfig,
    tokenizer: Tokenizer,
    tools: Sequence[Mapping[str, Any]] | None,
    thinking: bool,
    answer: bool = True,
) -> Prompt:
    """Return the prompt for `messages`; `answer` opens the turn of the model."""
    if not messages:
        raise ApiError("Cannot apply chat template to an empty conversation. Provide at least one message.")
    media: Counter[str] = Counter()
    said, turns = "", []
    if thinking or tools:
        declared = "".join(json.dumps(dict(tool)) for tool in tools or ())
        turns.append(f"<|turn>system\n{'<|think|>' if thinking else ''}{declared}<turn|>\n")
    for message in messages:
        role = message.get("role")
        if not isinstance(role, str):
            raise ApiError(
                "1 validation error:\n  {'type': 'missing', 'loc': 'body.messages.0.role', 'msg': 'Field required'}",
                kind="Bad Request",
                param="body.messages.0.role",
            )
        text = _content(message.get("content"), media)
        if role == "user":
            said = text
        elif role == "tool":
            said = f"{text} (from a tool)"
        for call in message.get("tool_calls") or ():
            text += json.dumps(call.get("function", {}))
        turns.append(f"<|turn>{'model' if role == 'assistant' else role}\n{text}<turn|>\n")
    check_media(media, config)
    tokens = tokenizer.encode("".join(turns) + ("<|turn>model\n" if answer else ""), bos=True)
    sizes = item_tokens(config.args, config.profile)
    for kind, number in media.items():
        tokens += [_SOFT_TOKEN] * (sizes[kind] * number)
    return Prompt(tokens=tokens, said=said, turn=len(messages))


def check_length(tokens: int, *, config: EngineConfig, wanted: int | None, field: str) -> int:
    """Return the longest answer to a prompt of `tokens`; refuses what is longer than the context."""
    longest = config.max_model_len
    if wanted is not None and wanted > longest:
        raise invalid(
            f"{field}={wanted} cannot be greater than max_model_len={longest}. Please request fewer output tokens.",
            param=field,
            value=wanted,
        )
    if tokens > longest:
        # vLLM stops cutting one token after the limit, and does not know how many more there are.
        raise invalid(
            f"This model's maximum context length is {longest} tokens. However, your prompt contains "
            f"at least {longest + 1} input tokens, which exceeds this limit even without any output tokens. "
            "Please reduce the length of the input prompt.",
            param="input_tokens",
            value=longest + 1,
        )
    room = longest - tokens
    return room if wanted is None else min(wanted, room)
