"""Makes up answers: the same prompt gets the same words, cut into tokens and ended as the request says."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from engine_standin.samples import sample
from engine_standin.script import Limits, Script, Token, finish
from engine_standin.tokens import pieces_of

_TEXT = (
    "the engine answers with words that mean nothing but arrive like words do one after the other at the "
    "speed that was asked for so that queues streams and clocks can be watched while no weights are loaded "
    "and no graphics card is busy which is all that a test of the plumbing needs"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Brief:
    """What an answer depends on.

    `said` is the last message of the user; `tools` maps names to parameter schemas; `call` names the tool
    that must be called; `schema` binds the content to JSON; `choice` to one of some texts.
    """

    said: str
    limits: Limits
    output_tokens: int
    thinking: bool = False
    split_thinking: bool = True
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    call: str | None = None
    schema: Mapping[str, Any] | None = None
    choice: Sequence[str] = ()
    turn: int = 0


def _filler(seed: int) -> Iterator[str]:
    position = seed
    while True:
        yield f" {_WORDS[position % len(_WORDS)]}"
        position += 1


def _tokens(text: str, part: str = "content", call: int = 0) -> list[Token]:
    return [Token(part, piece, call) for piece in pieces_of(text)]  # type: ignore[arg-type]


def _thoughts(brief: Brief) -> list[Token]:
    thought = f"The request is: {brief.said[:80]} I answer with words of no meaning."
    if brief.split_thinking:
        return [Token("control", "<|channel>"), *_tokens(thought, "reasoning"), Token("control", "<channel|>")]
    # Without a parser the marks are dropped as special tokens and the thought stays in the content.
    return _tokens(f"thought\n{thought}\n")


def _content(brief: Brief) -> list[Token]:
    if brief.schema is not None:
        return _tokens(json.dumps(sample(brief.schema)))
    if brief.choice:
        return _tokens(brief.choice[0])
    opening = _tokens(f"You said: {brief.said[:60]}" if brief.said else "You said nothing.")
    wanted = brief.output_tokens
    if brief.limits.ignore_eos:
        wanted = brief.limits.max_tokens
    wanted = max(wanted, brief.limits.min_tokens)
    seed = zlib.crc32(brief.said.encode("utf-8", "replace")) + brief.turn
    needed = max(0, min(wanted, brief.limits.max_tokens) - len(opening))
    return [*opening[:wanted], *_stream(seed, needed)]


def _stream(seed: int, count: int) -> list[Token]:
    pieces = (piece for word in _filler(seed) for piece in pieces_of(word))
    return [Token("content", piece) for piece in islice(pieces, count)]


def write(brief: Brief) -> Script:
    """Return the answer to `brief`; deterministic."""
    tokens = _thoughts(brief) if brief.thinking else []
    calls: tuple[str, ...] = ()
    if brief.call is not None:
        calls = (brief.call,)
        arguments = json.dumps(sample(brief.tools[brief.call]))
        tokens += [Token("control", "<|tool_call>"), *_tokens(arguments, "call")]
    else:
        tokens += _content(brief)
    return finish(tokens, limits=brief.limits, calls=calls)


def chosen_tool(said: str, tools: Sequence[str]) -> str | None:
    """Return the tool that a message asks for: its name, or all words of its name, are in the text."""
    text = said.lower()
    for name in tools:
        words = [word for word in name.lower().replace("-", "_").split("_") if word]
        if name.lower() in text or (words and all(word in text for word in words)):
            return name
    return None
