"""The Knative pod autoscaler: mean concurrency over a stable and a panic window.

desired = ceil(mean / target), within [ready / 2, 1000 · ready]; in panic (panic value at least twice the capacity of
the ready pods) the larger of both and never less than before. Source: knative/serving pkg/autoscaler/scaling.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from gemma_operator.simulator.scaler import View


@dataclass(slots=True, kw_only=True)
class Kpa:
    """One revision's autoscaler. Windows are seconds; `target` is concurrency per pod."""

    name: str = "kpa"
    target: float = 70.0
    """70 % of the default container concurrency of 100."""
    stable_window: float = 60.0
    panic_window: float = 6.0
    panic_threshold: float = 2.0
    max_up: float = 1000.0
    max_down: float = 2.0
    scale_down_delay: float = 0.0
    every: float = 2.0
    delay: float = 0.0
    grace: float | None = 60.0
    fewest_first: bool = False
    reasons: Sequence[str] = ()
    samples: deque[tuple[float, float]] = field(default_factory=deque)
    wanted: deque[tuple[float, int]] = field(default_factory=deque)
    panic_since: float | None = None
    most: int = 0
    started: bool = False

    def decide(self, view: View) -> int:
        """One tick. Concurrency is measured in the request path, so engines' metrics are not needed."""
        self.samples.append((view.now, float(view.in_flight + view.held)))
        while view.now - self.samples[0][0] >= self.stable_window:
            self.samples.popleft()
        if not self.started:
            self.started = True
            if view.ready > 1:
                self.panic_since, self.most = view.now, view.ready
        return self._delayed(view.now, self._scale(view))

    def _scale(self, view: View) -> int:
        ready = max(view.ready, 1)
        stable = sum(value for _, value in self.samples) / len(self.samples)
        lately = [value for at, value in self.samples if view.now - at < self.panic_window]
        panic = sum(lately) / len(lately)
        highest, lowest = math.ceil(self.max_up * ready), math.floor(ready / self.max_down)
        wanted = min(max(math.ceil(stable / self.target), lowest), highest)
        panicked = math.ceil(panic / self.target)
        if panicked / ready >= self.panic_threshold:
            self.panic_since = view.now
        elif self.panic_since is not None and view.now - self.panic_since > self.stable_window:
            self.panic_since, self.most = None, 0
        if self.panic_since is not None:
            self.most = max(self.most, wanted, min(max(panicked, lowest), highest))
            return self.most
        return wanted

    def _delayed(self, now: float, wanted: int) -> int:
        """The largest number of the scale-down delay."""
        self.wanted.append((now, wanted))
        while now - self.wanted[0][0] > self.scale_down_delay:
            self.wanted.popleft()
        return max(each for _, each in self.wanted)
