"""Bad moods: what goes wrong on purpose, at start or while serving. Set by STANDIN_MOOD or the admin endpoint.

At start: `crash-at-start:KIND` prints the recorded log of a real failure and exits as the real engine does
(`KIND` alone works too; `KIND*N` crashes the first N times only), `slow-start:SECONDS`, `never-ready`.
While serving: `hang` (requests are taken, nothing is computed, /health stays 200), `error:STATUS`, `drop`
(the connection closes without an answer), `cut:N` (it closes after N chunks), `dead` (the engine process is
gone and the server ends within five seconds), `die-after:SECONDS` (the same later, out of GPU memory),
`hang-at-shutdown` (streams left after --shutdown-timeout fall silent until their clients give up or
the process is killed). Several are joined by commas.
"""

from dataclasses import dataclass, field

from aiohttp import web

from engine_standin.crashes import kinds
from engine_standin.errors import ApiError, server_error
from engine_standin.settings import SettingError

_PLAIN = ("hang", "drop", "dead", "never-ready", "hang-at-shutdown")
_WITH_NUMBER = ("slow-start", "error", "cut", "die-after")


class DropConnection(Exception):
    """Close the connection now, without another byte."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A failure at start: its kind, and how many starts it spoils (0: every one)."""

    kind: str
    times: int = 0


@dataclass(slots=True)
class Moods:
    """The moods in force. Those of serving may be changed while the engine runs."""

    plain: frozenset[str] = frozenset()
    numbers: dict[str, float] = field(default_factory=dict)
    crash: Crash | None = None

    def has(self, mood: str) -> bool:
        """Tell whether a mood without a number is in force."""
        return mood in self.plain

    @property
    def slow_start(self) -> float:
        """Return the seconds that the start takes longer."""
        return self.numbers.get("slow-start", 0.0)

    @property
    def die_after(self) -> float:
        """Return after how many seconds of service the engine dies, 0 for never."""
        return self.numbers.get("die-after", 0.0)

    def before_request(self) -> None:
        """Spoil a completion request before it is looked at."""
        if "drop" in self.plain:
            raise DropConnection
        if (status := int(self.numbers.get("error", 0))) == 500:
            raise server_error("Internal server error")
        if status:
            raise ApiError("The engine is in a bad mood.", status=status, kind="Service Unavailable")

    def after_chunk(self, request: web.Request, sent: int) -> None:
        """Cut a stream after the chunk with the number `sent`."""
        if "cut" in self.numbers and sent >= self.numbers["cut"] and request.transport is not None:
            request.transport.abort()


def _crash(text: str) -> Crash:
    kind, star, times = text.partition("*")
    if kind not in kinds() or (star and not times.isdecimal()):
        raise SettingError(f"no crash {text!r}; known are {', '.join(sorted(kinds()))}, with *N for N times")
    return Crash(kind, int(times) if star else 0)


def parse_moods(text: str) -> Moods:
    """Read moods joined by commas; an unknown one raises `SettingError`."""
    plain: set[str] = set()
    numbers: dict[str, float] = {}
    crash: Crash | None = None
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition(":")
        if name in _PLAIN and not value:
            plain.add(name)
        elif name in _WITH_NUMBER:
            try:
                numbers[name] = float(value)
            except ValueError:
                raise SettingError(f"mood {item!r} needs a number, as in {name}:5") from None
        elif name == "crash-at-start":
            crash = _crash(value)
        elif item.partition("*")[0] in kinds():
            crash = _crash(item)
        else:
            known = ", ".join([*_PLAIN, *(f"{one}:N" for one in _WITH_NUMBER), "crash-at-start:KIND"])
            raise SettingError(f"no mood {item!r}; known are {known}")
    return Moods(frozenset(plain), numbers, crash)
