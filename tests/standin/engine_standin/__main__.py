"""`vllm serve MODEL --flags…`, or `python -m engine_standin serve MODEL --flags…`."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from engine_standin.config import build_config
from engine_standin.crashes import crash, report, still_due
from engine_standin.errors import StartFailure
from engine_standin.flags import parse
from engine_standin.lifecycle import announce, check_port, interrupt_start, serve, start_up
from engine_standin.logs import EngineLog
from engine_standin.moods import parse_moods
from engine_standin.settings import SettingError, read_settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stand-in; returns the exit code of the real engine in the same situation."""
    args = parse(sys.argv[1:] if argv is None else argv)
    log = EngineLog()
    try:
        settings = read_settings(os.environ)
        moods = parse_moods(settings.mood)
    except SettingError as error:
        print(f"engine stand-in: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, interrupt_start)
    try:
        config = build_config(args, settings, env=os.environ)
        announce(config, log)
        folder = Path(tempfile.gettempdir())
        if moods.crash and still_due(moods.crash.kind, times=moods.crash.times, folder=folder):
            crash(moods.crash.kind, model=config.model, max_model_len=config.max_model_len, log=log)
        check_port(config)
        start_up(config, moods, log)
    except StartFailure as failure:
        report(failure, log)
        return 1
    asyncio.run(serve(config, moods=moods, log=log))
    return 0


if __name__ == "__main__":
    sys.exit(main())
