"""What a simulation is made of."""

from array import array
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Requests in order of arrival; the first arrives at 0 or later."""

    name: str
    arrivals: "array[float]"
    """Seconds."""
    inputs: "array[int]"
    """Prompt tokens, at least 1."""
    outputs: "array[int]"
    """Generated tokens, at least 1."""

    def __len__(self) -> int:
        return len(self.arrivals)

    @property
    def duration(self) -> float:
        """Seconds until the last arrival."""
        return self.arrivals[-1] if self.arrivals else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How fast one replica is, and what it holds: a step takes base + per_sequence · batch + per_prefill · tokens."""

    step_base: float = 0.016
    step_per_sequence: float = 0.00018
    step_per_prefill_token: float = 0.0001
    max_num_seqs: int = 128
    chunk: int = 2048
    """Prompt tokens of one step at most."""
    kv_tokens: int = 300_000

    def own_prefill(self, tokens: int) -> float:
        """Seconds of prefill that a prompt needs by itself."""
        return self.step_per_prefill_token * tokens

    def batch(self, *, tokens: float) -> float:
        """Sequences of so many tokens that run at once."""
        return max(1.0, min(float(self.max_num_seqs), self.kv_tokens / max(tokens, 1.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong in the course of a simulation."""

    kind: str
    """`gap`: no metrics; `stuck`: the next created replica never starts; `hung`: the oldest replica stops working."""
    at: float
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The deployment that is simulated."""

    profile: Profile = Profile()
    startup: float = 180.0
    """Seconds from created to Ready, ± `jitter`."""
    jitter: float = 0.1
    minimum: int = 1
    maximum: int = 60
    supply: int | None = None
    """Most replicas that GPUs allow."""
    affordable: int | None = None
    initial: int | None = None
    """Replicas at the start; unset: what the first ten minutes need."""
    seed: int = 1
    late_binding: bool = False
    """The router keeps what an endpoint cannot run soon; else it sends at once to where fewest are in flight."""
    queue_limit: int | None = None
    """Requests that the router keeps at most; unset: any number."""
    hold_timeout: float | None = None
    """Seconds that the router keeps a request at most; unset: for ever."""
    drain_timeout: float = 900.0
    """Seconds that a replica may drain under our policy before it is killed; outlasts the answers of the tests."""
    idle_before_zero: float = 900.0
    """Seconds without any request before the last replica goes, with `minimum` 0."""
    cost_per_hour: float | None = None
    """US dollars of one replica."""
    metrics_interval: float = 15.0
    """Seconds between two scrapes, for policies that read a metrics server; ours scrapes by itself."""
    first_token_wait: float = 2.0
    """Objective: first token within this plus three times the request's own prefill."""
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One moment of a run, for plots."""

    at: float
    replicas: int
    ready: int
    running: int
    queued: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one policy did with one trace."""

    policy: str
    requests: int
    slo_attainment: float
    """Share of requests whose first token came in time and that were neither refused nor interrupted, 0 to 1."""
    ttft_p50: float
    ttft_p95: float
    ttft_p99: float
    tpot_p95: float
    replica_hours: float
    """From creation to the end of the drain, loading included."""
    cost: float | None
    scale_changes: int
    interrupted: int
    refused: int
    max_replicas: int
    timeline: tuple[Point, ...] = field(default=(), repr=False)
    late: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    """(second, TTFT p95 of the requests of that minute)."""
    reasons: tuple[str, ...] = field(default=(), repr=False)
    down_in_gap: int = 0
    """Scale-downs while metrics were missing."""
