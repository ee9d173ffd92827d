"""An answer before it is spoken: its tokens, which part of a message each belongs to, and how it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Part = Literal["content", "reasoning", "call", "control"]
FinishReason = Literal["stop", "length", "abort", "error"]


class Token(NamedTuple):
    """One output token: the part it belongs to, its text, and the number of the tool call for `call`."""

    part: Part
    text: str
    call: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """All tokens of one answer. `calls` are the names of the tools called, in order.

    `text_end` is the number of characters of content that the client gets: a stop string is cut off.
    """

    tokens: tuple[Token, ...]
    finish: FinishReason
    stop_reason: str | None = None
    calls: tuple[str, ...] = ()
    text_end: int | None = None

    def text(self, start: int, end: int, part: Part) -> str:
        """Return the text of `part` among tokens `start` to `end`, without what a stop string cuts off."""
        text = "".join(token.text for token in self.tokens[start:end] if token.part == part)
        if self.text_end is None or part != "content":
            return text
        before = sum(len(token.text) for token in self.tokens[:start] if token.part == "content")
        return text[: max(0, self.text_end - before)]

    def count(self, end: int, part: Part) -> int:
        """Return how many of the first `end` tokens belong to `part`."""
        return sum(token.part == part for token in self.tokens[:end])


@dataclass(frozen=True, slots=True)
class Limits:
    """Where an answer ends: tokens at most and at least, stop strings, and whether it may end by itself."""

    max_tokens: int
    min_tokens: int = 0
    stop: Sequence[str] = ()
    keep_stop: bool = False
    ignore_eos: bool = False


def finish(tokens: Sequence[Token], *, limits: Limits, calls: tuple[str, ...] = ()) -> Script:
    """Return the script that `tokens` make under `limits`.

    The end of `tokens` is where the model would say stop, which costs one more token, as in vLLM.
    """
    content, seen = "", 0
    for number, token in enumerate(tokens, start=1):
        if token.part == "content":
            seen = len(content)
            content += token.text
        hit = _first_stop(content, limits.stop, begin=seen) if number >= limits.min_tokens else None
        if hit is not None and number <= limits.max_tokens:
            stop, position = hit
            end = position + len(stop) if limits.keep_stop else position
            return Script(tuple(tokens[:number]), "stop", stop_reason=stop, calls=calls, text_end=end)
        if number == limits.max_tokens:
            return Script(tuple(tokens[:number]), "length", calls=calls)
    return Script((*tokens, Token("control", "")), "stop", calls=calls)


def _first_stop(text: str, stops: Sequence[str], *, begin: int) -> tuple[str, int] | None:
    """Return the stop string that appears first in `text`, looking only where the last token can matter."""
    found = [(stop, position) for stop in stops if (position := text.find(stop, max(0, begin - len(stop) + 1))) >= 0]
    return min(found, key=lambda pair: pair[1], default=None)
