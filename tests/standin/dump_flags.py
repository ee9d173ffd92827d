"""`python dump_flags.py FILE` writes every flag of `vllm serve` as JSON: run it with the Python of an installed vLLM.

The file is engine_standin/data/flags.json: what the stand-in knows, so that it refuses what that version refuses.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.version import __version__ as version


def type_expression(convert: Any) -> str:
    """Name the converter of an argument: `int`, `optional:int`, `parse:json`, `object:CompilationConfig`."""
    name = getattr(convert, "__name__", repr(convert))
    if convert is None:
        return "str"
    if convert is json.loads:
        return "json"
    if name == "parse_dataclass":
        return f"object:{convert.__defaults__[0].__name__}"
    if name in {"_optional_type", "_parse_type"}:
        inner = type_expression(convert.__closure__[0].cell_contents)
        return f"{'optional' if name == '_optional_type' else 'parse'}:{inner}"
    return "str" if name == "<lambda>" else name


def plain(value: Any) -> Any:
    """Return `value` if JSON can hold it; objects made of other flags are left out."""
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return None


def describe(action: argparse.Action) -> dict[str, Any]:
    """Return what the stand-in needs to parse one argument like vLLM does."""
    boolean = isinstance(action, argparse.BooleanOptionalAction)
    row: dict[str, Any] = {"dest": action.dest, "options": list(action.option_strings)}
    row["action"] = "boolean" if boolean else type(action).__name__.strip("_").removesuffix("Action").lower()
    if not boolean and action.nargs != 0:
        row["type"] = type_expression(action.type)
    for key in ("nargs", "choices", "const", "default"):
        value = getattr(action, key, None)
        value = plain(list(value) if isinstance(value, set | frozenset) else value)
        if value not in (None, argparse.SUPPRESS):
            row[key] = value
    return row


def main() -> None:
    """Write the table to the file named on the command line."""
    parser = make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    rows = [describe(action) for action in parser._actions]
    rows.sort(key=lambda row: (row["options"] or [""])[0])
    text = json.dumps({"version": version, "flags": rows}, indent=1, sort_keys=True)
    Path(sys.argv[1]).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
