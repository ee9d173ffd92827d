"""Converters of flag values, by the names that the flag table uses; messages as argparse in vLLM gives them."""

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SUFFIXED = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGtT])")

Convert = Callable[[str], Any]


def human_readable_int(value: str) -> int:
    """Read `4096`, `4k` (4000) or `4K` (4096); fractions only with the decimal suffixes."""
    value = value.strip()
    match = _SUFFIXED.fullmatch(value)
    if match is None:
        return int(value)
    number, suffix = match.groups()
    if suffix in _DECIMAL:
        return int(float(number) * _DECIMAL[suffix])
    if "." in number:
        raise ArgumentTypeError(
            f"Decimals are not allowed with binary suffixes like {suffix}. "
            f"Did you mean to use {number}{suffix.lower()} instead?"
        )
    return int(number) * _BINARY[suffix]


def human_readable_int_or_auto(value: str) -> int:
    """Read like `human_readable_int`; `auto` and `-1` are -1."""
    value = value.strip()
    return -1 if value == "-1" or value.lower() == "auto" else human_readable_int(value)


def union_dict_and_str(value: str) -> Any:
    """Read a JSON object when the text looks like one, else keep the text."""
    if not re.match(r"(?s)^\s*{.*}\s*$", value):
        return value
    return _optional(json.loads)(value)


def _json_object(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise ArgumentTypeError(f"Invalid JSON: {error}") from error


_PLAIN: dict[str, Convert] = {
    "str": str,
    "int": int,
    "float": float,
    "json": json.loads,
    "loads": json.loads,
    "human_readable_int": human_readable_int,
    "human_readable_int_or_auto": human_readable_int_or_auto,
    "union_dict_and_str": union_dict_and_str,
}


def _parse(convert: Convert) -> Convert:
    def _parse_type(value: str) -> Any:
        try:
            return convert(value)
        except ValueError as error:
            raise ArgumentTypeError(f"Value {value} cannot be converted to {convert}.") from error

    return _parse_type


def _optional(convert: Convert) -> Convert:
    parse = _parse(convert)

    def _optional_type(value: str) -> Any:
        return None if value in ("", "None") else parse(value)

    return _optional_type


def converter(expression: str) -> Convert:
    """Return the converter for a type expression of the flag table, such as `optional:int`."""
    head, _, rest = expression.partition(":")
    if head == "optional":
        return _optional(converter(rest))
    if head == "parse":
        return _parse(converter(rest))
    if head == "object":
        return _json_object
    return _PLAIN[head]
