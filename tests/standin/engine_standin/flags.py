"""The command line of `vllm serve`: knows every flag of vLLM 0.32 and refuses what that version refuses.

The table in data/flags.json was written by tests/standin/dump_flags.py with vLLM 0.32.0 installed.
"""

import argparse
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NoReturn

from engine_standin import VERSION
from engine_standin.flag_types import converter, human_readable_int

_COMMANDS = (
    "chat",
    "complete",
    "serve",
    "launch",
    "bench",
    "collect-env",
    "download-kernels",
    "preload",
    "run-batch",
    "snapshot",
)
_BEFORE_DOT = re.compile(r"(?<=--)[^\.]*")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments:") and re.search(r"(^|\s)--task(=|\s|$)", message):
            message += (
                "\n\nHint: --task is not a vllm serve option. "
                "For embedding, reranking, or reward models, use --runner pooling. "
                "To adapt a generative model for pooling, also use --convert embed, "
                "--convert classify, or --convert reward."
            )
        super().error(message)


def flag_table() -> list[dict[str, Any]]:
    """Return one row per argument of `vllm serve`."""
    text = files("engine_standin").joinpath("data/flags.json").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)["flags"]
    return rows


def _add(parser: argparse.ArgumentParser, row: dict[str, Any]) -> None:
    if row["action"] == "help":
        return
    kwargs: dict[str, Any] = {"default": row.get("default")}
    if row["action"] == "boolean":
        kwargs["action"] = argparse.BooleanOptionalAction
    elif row["action"] in ("storetrue", "storefalse"):
        kwargs["action"] = "store_true" if row["action"] == "storetrue" else "store_false"
    else:
        kwargs["type"] = converter(row.get("type", "str"))
        kwargs["action"] = "append" if row["action"] == "append" else "store"
        for key in ("nargs", "choices", "const"):
            if key in row:
                kwargs[key] = row[key]
    if not row["options"]:
        kwargs.pop("action", None)
        parser.add_argument(row["dest"], **kwargs)
        return
    options = [option for option in row["options"] if not option.startswith("--no-")]
    parser.add_argument(*(options or row["options"]), dest=row["dest"], **kwargs)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the `vllm` command; only `serve` does something."""
    parser = _Parser(prog="vllm", description="vLLM CLI")
    parser.add_argument("-v", "--version", action="version", version=VERSION)
    commands = parser.add_subparsers(required=False, dest="subparser", metavar="{" + ",".join(_COMMANDS) + "}")
    serve = commands.add_parser("serve", usage="vllm serve [model_tag] [options]", allow_abbrev=True)
    for row in flag_table():
        _add(serve, row)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse `argv`, with or without the leading `serve`; wrong flags end the process with code 2.

    The image of vLLM has the entry point `vllm serve`, so container args begin with the model or a flag.
    """
    args = list(argv)
    if not args or args[0] not in ("serve", "-v", "--version", "-h"):
        args = ["serve", *args]
    args = _dashes(_model_first(args))
    return make_parser().parse_args(_dotted(args))


def _model_first(args: list[str]) -> list[str]:
    """Move the value of `--model` to the front, as vLLM does with a warning."""
    for index, arg in enumerate(args):
        if arg == "--model" and index + 1 < len(args):
            return [args[0], args[index + 1], *args[1:index], *args[index + 2 :]]
        if arg.startswith("--model="):
            return [args[0], arg.removeprefix("--model="), *args[1:index], *args[index + 1 :]]
    return args


def _dashes(args: list[str]) -> list[str]:
    """Write underscores in flag names as dashes."""
    out = []
    for arg in args:
        if arg.startswith("--"):
            key, equals, value = arg.partition("=")
            key = _BEFORE_DOT.sub(lambda match: match.group(0).replace("_", "-"), key, count=1)
            arg = key + equals + value
        elif arg.startswith("-O") and arg != "-O":
            out += ["--optimization-level", arg[3:] if arg[2] == "=" else arg[2:]]
            continue
        out.append(arg)
    return out


def _dotted(args: list[str]) -> list[str]:
    """Gather `--flag.key value` into one `--flag {"key": value}`."""
    plain: list[str] = []
    gathered: dict[str, dict[str, Any]] = {}
    rest = iter(args)
    for arg in rest:
        key, equals, value = arg.partition("=")
        if not (key.startswith("--") and "." in key):
            plain.append(arg)
            continue
        if not equals:
            value = next(rest, "")
        parsed: Any
        try:
            parsed = value.split(",") if key.endswith("+") else json.loads(value)
        except ValueError:
            try:
                parsed = human_readable_int(value)
            except (ValueError, argparse.ArgumentTypeError):
                parsed = value
        flag, *path = key.removesuffix("+").split(".")
        target = gathered.setdefault(flag, {})
        for name in path[:-1]:
            target = target.setdefault(name, {})
        target[path[-1]] = parsed
    for flag, fields in gathered.items():
        plain += [flag, json.dumps(fields)]
    return plain


def not_default(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that differ from vLLM's defaults, secrets starred out."""
    defaults = vars(make_parser().parse_args(["serve"]))
    changed = {name: value for name, value in vars(args).items() if defaults.get(name) != value}
    return {name: "***" if name in ("api_key", "hf_token") else value for name, value in changed.items()}
