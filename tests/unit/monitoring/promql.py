"""The metrics that a PromQL expression reads, and the labels that it names of them.

Enough of the language for the dashboards and alerts of this repository; `promtool` checks their syntax.
"""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*") | (?P<range>\[[^\]]*\]) | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<number>[0-9.]+) | (?P<sign>[=!<>]=|=~|!~|[-+*/(){},<>=]) | (?P<space>\s+)""",
    re.VERBOSE,
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "bool", "offset"})


@dataclass(frozen=True, slots=True)
class Reads:
    """Metrics of an expression with the labels that select their series, and the labels that it groups by."""

    metrics: tuple[tuple[str, frozenset[str]], ...]
    grouped: frozenset[str]


def reads(expression: str) -> Reads:
    """What an expression reads; raises `ValueError` at a character that is none of the language."""
    tokens = _tokens(expression)
    metrics: list[tuple[str, frozenset[str]]] = []
    grouped: set[str] = set()
    index = 0
    while index < len(tokens):
        kind, text = tokens[index]
        following = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        if kind == "name" and text in _GROUPING and following == "(":
            inside, index = _until(tokens, index + 2, ")")
            grouped |= {word for kind, word in inside if kind == "name"}
            continue
        # `sum(` and `sum by (` are both the function.
        if kind == "name" and following not in ("(", *_GROUPING) and text not in _WORDS:
            labels: set[str] = set()
            if following == "{":
                inside, index = _until(tokens, index + 2, "}")
                labels = {word for kind, word in inside if kind == "name"}
            else:
                index += 1
            metrics.append((text, frozenset(labels)))
            continue
        index += 1
    return Reads(metrics=tuple(metrics), grouped=frozenset(grouped))


def _until(tokens: list[tuple[str, str]], start: int, end: str) -> tuple[list[tuple[str, str]], int]:
    stop = next(index for index in range(start, len(tokens)) if tokens[index][1] == end)
    return tokens[start:stop], stop + 1


def _tokens(expression: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if not match:
            raise ValueError(f"{expression!r}: {expression[position]!r} at {position} is none of PromQL")
        if match.lastgroup != "space":
            found.append((str(match.lastgroup), match[0]))
        position = match.end()
    return found
