"""The operator with a wall clock that a test sets: `CLOCK_FILE` holds the seconds that it is wrong by."""

import os
import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from gemma_operator.controller import main as operator

_FILE = Path(os.environ["CLOCK_FILE"])
_time = time.time


def _wrong_by() -> float:
    return float(_FILE.read_text())


class ShiftedDatetime(datetime):
    """`datetime` whose present is the wrong one."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # not of this class
        """The wrong present."""
        return datetime.now(tz) + timedelta(seconds=_wrong_by())


def main() -> None:
    """Replace the clocks that the operator's modules read, and run it."""
    time.time = lambda: _time() + _wrong_by()
    replaced = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("gemma_operator.") and getattr(module, "datetime", None) is datetime:
            module.datetime = ShiftedDatetime  # type: ignore[attr-defined]
            replaced += 1
    assert replaced, "no module of the operator reads the clock"
    operator.main()


main()
