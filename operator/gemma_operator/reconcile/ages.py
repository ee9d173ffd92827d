"""How long ago something happened in the cluster, for a process whose clock may be set at any time."""

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(slots=True)
class Ages:
    """Ages of what carries times of the API server. Only what was there at the first look is aged by the wall clock."""

    _now: float | None = None
    """Seconds of a clock that never goes back."""
    _before: float | None = None
    """When the look before was."""
    _asked: dict[tuple[str, datetime], float] = field(default_factory=dict)
    """What was asked for since the last look, and when it happened."""
    _known: dict[tuple[str, datetime], float] = field(default_factory=dict)

    def look(self, now: float) -> None:
        """Begin a look. What the look before did not ask for is forgotten."""
        self._before, self._now = self._now, now
        self._known, self._asked = self._asked, {}

    def since(self, what: str, at: datetime) -> float:
        """Seconds since `at`: no more than since the look before, when this was not there yet."""
        assert self._now is not None, "look first"
        key = (what, at)
        happened = self._known.get(key)
        if happened is None:
            happened = self._now - max(0.0, (datetime.now(UTC) - at).total_seconds())
            if self._before is not None:
                happened = max(happened, self._before)
        self._asked[key] = happened
        return self._now - happened
