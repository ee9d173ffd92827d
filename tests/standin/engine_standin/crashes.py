"""Failures at start, in the words that the real engine and its libraries use.

data/crashes.json holds texts with the model's name in them, data/engine-logs whole logs; each has its source.
"""

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from engine_standin.errors import StartFailure
from engine_standin.logs import API, ENGINE, EngineLog

_SILENT = {"host-oom": 137, "segfault": 139}
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_LARGEST_REAL_OOM = 1 << 30
_CHUNK = 16 << 20
_EXIT_CODE = re.compile(r"exit code (\d+)")
_FRAMES = """Traceback (most recent call last):
  File "/usr/local/lib/python3.12/dist-packages/vllm/v1/engine/core.py", line 1473, in run_engine_core
    engine_core = EngineCoreProc(*args, engine_index=dp_rank, **kwargs)
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/local/lib/python3.12/dist-packages/vllm/v1/engine/core.py", line 1141, in __init__
    super().__init__("""
_API_FRAMES = """Traceback (most recent call last):
  File "/usr/local/bin/vllm", line 10, in <module>
    sys.exit(main())
             ^^^^^^
  File "/usr/local/lib/python3.12/dist-packages/vllm/entrypoints/cli/main.py", line 119, in main
    args.dispatch_function(args)
  File "/usr/local/lib/python3.12/dist-packages/vllm/entrypoints/cli/serve.py", line 150, in cmd
    uvloop.run(run_server(args))"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded failure; `{model}` and `{max_model_len}` in its texts are filled in."""

    in_engine: bool
    kind: str
    message: str
    cause: str


@cache
def recorded() -> dict[str, Recorded]:
    """Return all recorded failures by name."""
    text = files("engine_standin").joinpath("data/crashes.json").read_text(encoding="utf-8")
    return {
        name: Recorded(row["process"] == ENGINE, row["kind"], row["message"], row.get("cause", ""))
        for name, row in json.loads(text).items()
    }


@cache
def logs() -> dict[str, str]:
    """Return whole recorded logs by name, each with the line that names its source."""
    folder = files("engine_standin").joinpath("data/engine-logs")
    found = folder.iterdir() if folder.is_dir() else ()
    return {
        entry.name.removesuffix(".log"): entry.read_text(encoding="utf-8")
        for entry in found
        if entry.name.endswith(".log")
    }


def kinds() -> frozenset[str]:
    """Return the names of the failures that can be asked for."""
    return frozenset(recorded()) | frozenset(logs())


def still_due(name: str, *, times: int, folder: Path) -> bool:
    """Count this start in `folder`, which outlives the container's restarts; True while it is to fail."""
    if times == 0:
        return True
    marks = folder / f"standin-crash-{name}"
    seen = int(marks.read_text() or 0) if marks.exists() else 0
    marks.write_text(str(seen + 1))
    return seen < times


def crash(name: str, *, model: str, max_model_len: int, log: EngineLog) -> None:
    """Fail the way that is recorded under `name`: with `StartFailure`, a whole log, or without a word."""
    if name == "host-oom":
        _fill_memory()
    if name in _SILENT:
        # A process that is the first of its container cannot kill itself with a signal.
        os._exit(_SILENT[name])
    if name not in recorded():
        head, _, text = logs()[name].partition("\n")
        log.bare(text.rstrip("\n"))
        raise SystemExit(int(code[1]) if (code := _EXIT_CODE.search(head)) else 1)
    failure = recorded()[name]

    def fill(text: str) -> str:
        return text.replace("{model}", model).replace("{max_model_len}", str(max_model_len))

    if failure.cause:
        log.bare("Traceback (most recent call last):", process=API)
        log.bare(fill(failure.cause), process=API)
        log.bare("\nThe above exception was the direct cause of the following exception:\n", process=API)
    raise StartFailure(fill(failure.message), kind=failure.kind, in_engine=failure.in_engine)


def _fill_memory() -> None:
    """Use memory until the kernel ends the container, if its limit is known and small enough to be harmless."""
    limits = [int(text) for path in _MEMORY_LIMITS if (text := _read(path)).isdecimal()]
    if limits and min(limits) <= _LARGEST_REAL_OOM:
        held = [bytearray(os.urandom(1) * _CHUNK) for _ in range(min(limits) // _CHUNK + 4)]
        held.clear()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def report(failure: StartFailure, log: EngineLog) -> None:
    """Print a failure like the process that meets it, and what follows from it in the API server."""
    if not failure.in_engine:
        log.bare(f"{_API_FRAMES}\n{failure.text()}", process=API)
        return
    log.line("core.py:1507", "EngineCore failed to start.", process=ENGINE, level="ERROR")
    log.line("core.py:1507", f"{_FRAMES}\n{failure.text()}", process=ENGINE, level="ERROR")
    log.bare(f"Process EngineCore:\n{_FRAMES}\n{failure.text()}", process=ENGINE)
    log.bare(
        f"{_API_FRAMES}\nRuntimeError: Engine core initialization failed. See root cause above. "
        "Failed core proc(s): {'EngineCore': 1}",
        process=API,
    )
