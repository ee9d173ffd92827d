"""What a policy sees of the simulated fleet, and what it must offer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """Metrics of one replica, as its /metrics would say."""

    name: str
    running: int
    waiting: int
    kv_usage: float
    completions: int
    generated: int
    prompt: int
    steps: int
    draining: bool
    ready_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The fleet at one moment."""

    now: float
    pods: tuple[PodView, ...]
    """Ready and draining replicas; empty while metrics have a gap."""
    ready: int
    pending: tuple[tuple[str, float], ...]
    """Loading replicas and their age."""
    current: int
    """Replicas asked for: ready and loading."""
    held: int
    """Requests that wait in the router."""
    in_flight: int
    """Requests inside engines."""
    startups: tuple[float, ...] = ()
    gap: bool = False

    @property
    def serving(self) -> tuple[PodView, ...]:
        """Replicas that take requests."""
        return tuple(pod for pod in self.pods if not pod.draining)


class Scaler(Protocol):
    """A scaling policy. `decide` is called every `every` seconds with the fleet as it was `delay` seconds before."""

    @property
    def name(self) -> str:
        """Name in reports."""

    @property
    def every(self) -> float:
        """Seconds between two calls."""

    @property
    def delay(self) -> float:
        """Seconds from scrape to decision."""

    @property
    def grace(self) -> float | None:
        """Seconds that a replica may drain before it is killed; `None`: as long as it takes."""

    @property
    def fewest_first(self) -> bool:
        """Whether the replica with fewest in flight leaves first; else the one that became Ready last."""

    @property
    def reasons(self) -> Sequence[str]:
        """Lines about what changed, for people."""

    def decide(self, view: View) -> int:
        """Replicas wanted."""
