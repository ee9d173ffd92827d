"""Reading traces of requests. A line that is wrong is refused with its number."""

import csv
import gzip
import json
import re
import zlib
from array import array
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain
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
_LONGEST_DAYS: Final = 60
"""The policies are asked every few seconds of a trace: one time in another unit would take for ever."""
_DAY: Final = 86_400.0
_MOMENT: Final = re.compile(r"(.+?)(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
"""To the second, fraction, offset. Fractions have seven digits in Azure's trace of 2023; datetime has six."""
_Row = tuple[float, int, int, int]
"""Seconds, prompt tokens, output tokens, number of the line."""


class TraceError(ValueError):
    """A trace that cannot be used; the text says which line and why."""


def load_trace(path: Path) -> Trace:
    """A trace of one of the known formats, compressed or not; arrivals start at 0."""
    try:
        with _opened(path) as file:
            rows = list(_rows(path, _lines(path, file)))
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not rows:
        raise TraceError(f"{path}: no request in it")
    rows.sort(key=lambda row: row[0])
    start = rows[0][0]
    days = (rows[-1][0] - start) / _DAY
    if days > _LONGEST_DAYS:
        raise TraceError(
            f"{path}: line {rows[-1][3]}: arrives {days:g} days after line {rows[0][3]}; at most {_LONGEST_DAYS} days "
            "are replayed: correct the time that is wrong, or cut the trace"
        )
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


def _lines(path: Path, file: IO[str]) -> Iterator[str]:
    number = 0
    try:
        for line in file:
            number += 1
            yield line
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: line {number + 1}: cannot be read: {error}") from None


def _rows(path: Path, lines: Iterator[str]) -> Iterator[_Row]:
    head = next(lines, "")
    whole = chain((head,), lines)
    if head.lstrip().startswith("{"):
        yield from _json_lines(path, whole)
        return
    columns = [column.strip() for column in head.strip().split(",")]
    for wanted, moment in ((AZURE, _timestamp), (MOONCAKE, _milliseconds), (PLAIN, _seconds)):
        if all(column in columns for column in wanted):
            yield from _csv(path, whole, positions=[columns.index(column) for column in wanted], moment=moment)
            return
    raise TraceError(f"{path}: line 1: the header is {head.strip()!r}; known formats are\n{_FORMATS}")


def _csv(path: Path, lines: Iterator[str], *, positions: list[int], moment: Callable[[Any], float]) -> Iterator[_Row]:
    when, prompt, output = positions
    reader = csv.reader(lines)
    next(reader)
    try:
        for fields in reader:
            if not fields:
                continue
            # Not the number of the record: a quoted field may go over several lines.
            number = reader.line_num
            if len(fields) <= max(positions):
                raise TraceError(f"{path}: line {number}: {len(fields)} columns, the header has more")
            yield _row(path, number, fields[when], fields[prompt], fields[output], moment)
    except csv.Error as error:
        raise TraceError(f"{path}: line {reader.line_num}: {error}") from None


def _json_lines(path: Path, lines: Iterator[str]) -> Iterator[_Row]:
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            body = json.loads(text)
            values = [body[column] for column in MOONCAKE]
        except (ValueError, RecursionError) as error:
            raise TraceError(f"{path}: line {number}: not JSON: {getattr(error, 'msg', error)}") from None
        except (KeyError, TypeError):
            raise TraceError(f"{path}: line {number}: an object with {', '.join(MOONCAKE)} is expected") from None
        yield _row(path, number, values[0], values[1], values[2], _milliseconds)


def _row(path: Path, number: int, when: Any, prompt: Any, output: Any, moment: Callable[[Any], float]) -> _Row:
    try:
        at = moment(when)
    except (ValueError, TypeError, OverflowError):
        raise TraceError(f"{path}: line {number}: {when!r} is no time of arrival") from None
    if not 0 <= at < float("inf"):
        raise TraceError(f"{path}: line {number}: the time of arrival {when!r} is not a number of 0 or more")
    return at, _tokens(path, number, "prompt", prompt), _tokens(path, number, "output", output), number


def _tokens(path: Path, number: int, what: str, value: Any) -> int:
    """At least one: a request without prompt or answer still takes a step."""
    try:
        tokens = float(value)
    except (ValueError, TypeError, OverflowError):
        tokens = float("nan")
    if not tokens.is_integer():
        raise TraceError(f"{path}: line {number}: {value!r} is no number of {what} tokens")
    if not 0 <= tokens <= _LARGEST:
        raise TraceError(f"{path}: line {number}: {value} {what} tokens; 0 to {_LARGEST} are possible")
    return max(int(tokens), 1)


def _timestamp(value: Any) -> float:
    found = _MOMENT.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(value)
    moment, fraction, offset = found.groups()
    return datetime.fromisoformat(f"{moment}{offset or '+00:00'}").timestamp() + float(fraction or 0)


def _milliseconds(value: Any) -> float:
    return float(value) / 1000


def _seconds(value: Any) -> float:
    return float(value)
