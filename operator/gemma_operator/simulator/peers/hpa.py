"""The HorizontalPodAutoscaler v2 on an external metric with an average target, which is what KEDA makes too.

desired = ceil(total / target), unless total / (target · replicas) is within the tolerance. Then stabilisation (lowest
recommendation of the up window, highest of the down window) and the rate limits of `behavior`. Source:
kubernetes/kubernetes pkg/controller/podautoscaler and the defaults of autoscaling/v2.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gemma_operator.simulator.scaler import View

Signal = Callable[[View], float]


def waiting(view: View) -> float:
    """Requests that wait in engines and in the router."""
    return float(sum(pod.waiting for pod in view.serving) + view.held)


def running_and_waiting(view: View) -> float:
    """Requests that run or wait, in engines and in the router."""
    return sum(pod.running for pod in view.serving) + waiting(view)


def recommend(total: float, *, target: float, replicas: int, tolerance: float) -> int:
    """Replicas for an external metric with `AverageValue`."""
    wanted = math.ceil(total / target)
    if replicas == 0:
        return wanted
    return replicas if abs(1 - total / (target * replicas)) <= tolerance else wanted


@dataclass(slots=True, kw_only=True)
class Hpa:
    """One HorizontalPodAutoscaler. Windows are seconds."""

    name: str
    signal: Signal
    target: float
    minimum: int = 1
    maximum: int = 60
    tolerance: float = 0.1
    up_window: float = 0.0
    down_window: float = 300.0
    every: float = 15.0
    delay: float = 5.0
    grace: float | None = 60.0
    fewest_first: bool = False
    reasons: Sequence[str] = ()
    history: deque[tuple[float, int]] = field(default_factory=deque)

    def decide(self, view: View) -> int:
        """One sync."""
        wanted = recommend(self.signal(view), target=self.target, replicas=view.current, tolerance=self.tolerance)
        wanted = min(max(wanted, self.minimum), self.maximum)
        return self._limited(view.current, self._stabilised(view, wanted))

    def _stabilised(self, view: View, wanted: int) -> int:
        if not self.history:
            self.history.append((view.now, view.current))
        self.history.append((view.now, wanted))
        while view.now - self.history[0][0] > max(self.up_window, self.down_window):
            self.history.popleft()
        lowest = min((each for at, each in self.history if view.now - at < self.up_window), default=wanted)
        highest = max((each for at, each in self.history if view.now - at < self.down_window), default=wanted)
        return min(max(view.current, min(lowest, wanted)), max(highest, wanted))

    @staticmethod
    def _limited(current: int, wanted: int) -> int:
        """At most twice as many or four more in 15 s; downwards anything."""
        return min(wanted, max(2 * current, current + 4))
