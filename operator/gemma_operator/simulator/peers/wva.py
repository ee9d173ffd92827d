"""The saturation analyzer of llm-d's workload-variant-autoscaler, version 1.

A replica is saturated at 80 % of its KV cache or five waiting requests. One more when the unsaturated ones have less
than 10 % or three requests to spare on average, and none is loading; one fewer when, spread over one replica less,
both still hold. Peaks over a minute. An HPA with default behaviour carries the number out.
Source: docs/saturation-analyzer.md of llm-d/llm-d-workload-variant-autoscaler.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from gemma_operator.simulator.scaler import View

Peak = tuple[float, float]
"""KV usage and waiting requests of one replica."""


@dataclass(slots=True, kw_only=True)
class Wva:
    """One variant."""

    name: str = "wva"
    kv_threshold: float = 0.80
    queue_threshold: float = 5.0
    kv_spare: float = 0.1
    queue_spare: float = 3.0
    every: float = 15.0
    reconcile: float = 60.0
    delay: float = 5.0
    grace: float | None = 60.0
    fewest_first: bool = False
    reasons: Sequence[str] = ()
    scrapes: deque[tuple[float, dict[str, Peak]]] = field(default_factory=deque)
    down_window: float = 300.0
    wanted: deque[tuple[float, int]] = field(default_factory=deque)
    decided: float = 0.0

    def decide(self, view: View) -> int:
        """Remember a scrape; every minute one step."""
        self.scrapes.append((view.now, {pod.name: (pod.kv_usage, float(pod.waiting)) for pod in view.serving}))
        while view.now - self.scrapes[0][0] >= self.reconcile:
            self.scrapes.popleft()
        if view.now - self.decided < self.reconcile:
            return view.current
        self.decided = view.now
        self.wanted.append((view.now, view.current + self._step(self._peaks(), pending=len(view.pending))))
        while len(self.wanted) > 1 and view.now - self.wanted[0][0] >= self.down_window:
            self.wanted.popleft()
        lowest, highest = self.wanted[-1][1], max(each for _, each in self.wanted)
        return min(max(view.current, lowest), highest)

    def _peaks(self) -> list[Peak]:
        present = self.scrapes[-1][1]
        return [
            (
                max(scrape[name][0] for _, scrape in self.scrapes if name in scrape),
                max(scrape[name][1] for _, scrape in self.scrapes if name in scrape),
            )
            for name in present
        ]

    def _step(self, peaks: Sequence[Peak], *, pending: int) -> int:
        """One more, one fewer or neither."""
        free = [(kv, queue) for kv, queue in peaks if kv < self.kv_threshold and queue < self.queue_threshold]
        if not peaks:
            return 0
        kv, queue = sum(each[0] for each in free), sum(each[1] for each in free)
        if not free or self._short(kv / len(free), queue / len(free)):
            return 0 if pending else 1
        if len(free) >= 2 and not self._short(kv / (len(free) - 1), queue / (len(free) - 1)):
            return -1
        return 0

    def _short(self, kv: float, queue: float) -> bool:
        return self.kv_threshold - kv < self.kv_spare or self.queue_threshold - queue < self.queue_spare
