"""Reading traces of requests. A line that is wrong is refused with its number."""

import csv
import gzip
import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from gemma_operator.simulator.types import Trace

AZURE: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
PLAIN: Final = ("arrival_s", "input_tokens", "output_tokens")
MOONCAKE: Final = ("timestamp", "input_length", "output_length")
_FORMATS: Final = "\n".join(
    (
        f"  Azure LLM inference CSV: {','.join(AZURE)}",
        f"  Mooncake CSV or JSON lines: {', '.join(MOONCAKE)} (milliseconds)",
        f"  plain CSV: {','.join(PLAIN)} (seconds)",
    )
)
_LARGEST: Final = 10_000_000
_Row = tuple[float, int, int]


class TraceError(ValueError):
    """A trace that cannot be used; the text says which line and why."""


def load_trace(path: Path) -> Trace:
    """A trace of one of the known formats, compressed or not; arrivals start at 0."""
    try:
        with _opened(path) as lines:
            rows = list(_rows(path, lines))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not rows:
        raise TraceError(f"{path}: no request in it")
    rows.sort(key=lambda row: row[0])
    start = rows[0][0]
    name = path.name
    for suffix in (".gz", ".csv", ".jsonl"):
        name = name.removesuffix(suffix)
    return Trace(
        name=name,
        arrivals=array("d", [row[0] - start for row in rows]),
        inputs=array("l", [row[1] for row in rows]),
        outputs=array("l", [row[2] for row in rows]),
    )


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(path: Path, lines: IO[str]) -> Iterator[_Row]:
    head = lines.readline()
    if head.lstrip().startswith("{"):
        yield from _json_lines(path, head, lines)
        return
    columns = [column.strip() for column in head.strip().split(",")]
    for wanted, moment in ((AZURE, _timestamp), (MOONCAKE, _milliseconds), (PLAIN, _seconds)):
        if all(column in columns for column in wanted):
            yield from _csv(path, lines, positions=[columns.index(column) for column in wanted], moment=moment)
            return
    raise TraceError(f"{path}: line 1: the header is {head.strip()!r}; known formats are\n{_FORMATS}")


def _csv(path: Path, lines: Iterable[str], *, positions: list[int], moment: Callable[[Any], float]) -> Iterator[_Row]:
    when, prompt, output = positions
    for number, fields in enumerate(csv.reader(lines), start=2):
        if not fields:
            continue
        if len(fields) <= max(positions):
            raise TraceError(f"{path}: line {number}: {len(fields)} columns, the header has more")
        yield _row(path, number, fields[when], fields[prompt], fields[output], moment)


def _json_lines(path: Path, head: str, lines: Iterable[str]) -> Iterator[_Row]:
    for number, text in enumerate((head, *lines), start=1):
        if not text.strip():
            continue
        try:
            body = json.loads(text)
            values = [body[column] for column in MOONCAKE]
        except json.JSONDecodeError as error:
            raise TraceError(f"{path}: line {number}: not JSON: {error.msg}") from None
        except (KeyError, TypeError):
            raise TraceError(f"{path}: line {number}: an object with {', '.join(MOONCAKE)} is expected") from None
        yield _row(path, number, values[0], values[1], values[2], _milliseconds)


def _row(path: Path, number: int, when: Any, prompt: Any, output: Any, moment: Callable[[Any], float]) -> _Row:
    try:
        at = moment(when)
    except (ValueError, TypeError):
        raise TraceError(f"{path}: line {number}: {when!r} is no time of arrival") from None
    if not 0 <= at < float("inf"):
        raise TraceError(f"{path}: line {number}: the time of arrival {when!r} is not a number of 0 or more")
    return at, _tokens(path, number, "prompt", prompt), _tokens(path, number, "output", output)


def _tokens(path: Path, number: int, what: str, value: Any) -> int:
    """At least one: a request without prompt or answer still takes a step."""
    try:
        tokens = int(value)
    except (ValueError, TypeError):
        raise TraceError(f"{path}: line {number}: {value!r} is no number of {what} tokens") from None
    if not 0 <= tokens <= _LARGEST:
        raise TraceError(f"{path}: line {number}: {tokens} {what} tokens; 0 to {_LARGEST} are possible")
    return max(tokens, 1)


def _timestamp(value: Any) -> float:
    text = str(value).strip()
    moment, _, fraction = text.partition(".")
    seconds = datetime.fromisoformat(f"{moment}+00:00").timestamp()
    return seconds + (float(f"0.{fraction}") if fraction else 0.0)


def _milliseconds(value: Any) -> float:
    return float(value) / 1000


def _seconds(value: Any) -> float:
    return float(value)
