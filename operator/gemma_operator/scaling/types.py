"""What the policy reads, what it remembers and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from gemma_operator.scaling.constants import MEMORY

Preference = Literal["economy", "balanced", "latency"]

PRICE_OF_LATENESS: Final[Mapping[Preference, float]] = MappingProxyType(
    {"economy": 0.5, "balanced": 1.0, "latency": 2.0}
)
"""How much a late request matters against GPU time, relative to `balanced`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSample:
    """Counters and gauges of one engine pod, as the engine reports them; draining pods are sampled too."""

    pod: str
    at: float
    """When it was read, on the clock of the observation."""
    running: int
    waiting: int
    kv_usage: float
    """Share of the KV cache in use, 0 to 1."""
    completions: int
    generation_tokens: int
    prompt_tokens: int
    """Without those that came from the prefix cache."""
    steps: int
    """Engine iterations (`vllm:iteration_tokens_total_count`)."""
    ready_at: float | None = None
    """When the pod became Ready, if known: a pod met for the first time long after it is no burst of requests."""


@dataclass(frozen=True, slots=True)
class PendingPod:
    """A pod that exists and is not Ready yet."""

    pod: str
    age: float
    """Seconds for which it has loaded on its node, 0 before it has one; for a pod that was Ready before, since it is
    not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The deployment at one moment. What was not read is told apart from zero."""

    at: float
    """Seconds of any clock. One that jumps does no harm."""
    samples: tuple[PodSample, ...]
    """Fresh samples of ready and of draining pods."""
    ready: int
    """Pods that take requests; draining ones do not count."""
    pending: tuple[PendingPod, ...] = ()
    current: int
    """Replicas asked for."""
    held: int | None = 0
    """Requests that wait in routers; `None`: not known."""
    held_at_least: int = 0
    """Those of the routers that answered, where not all did."""
    in_flight: int | None = None
    """Requests that routers have sent to engines and not finished; `None`: not known."""
    startups: tuple[float, ...] = ()
    """Seconds from created to Ready of pods that became Ready since the last observation."""
    unsampled: int = 0
    """Ready pods that gave no sample now; an older one may be among `samples`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What limits a decision, and what the engine was started with."""

    minimum: int = 1
    maximum: int = 4
    supply: int | None = None
    """Most replicas that GPUs allow: ready and pending ones plus those for which GPUs are free or provisionable."""
    affordable: int | None = None
    """Most replicas within `maxCostPerHour`."""
    longest_start: float = 0.0
    """Seconds that a start may take as long as none was seen: weights are downloaded."""
    idle_before_zero: float = 600.0
    """Seconds without any request before the last replicas go; only with `minimum` 0."""
    max_num_seqs: int = 256
    chunk: int = 2048
    """`max_num_batched_tokens` of the engine."""
    fixed: int | None = None
    """`spec.replicas`: the number is the user's; the policy only learns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user chose."""

    preference: Preference = "balanced"
    first_token_wait: float = 2.0
    """Seconds that a request may wait for its first token besides its own prefill."""
    memory: float = MEMORY
    """Seconds of load that are remembered: shorter saves replicas and meets bursts later."""
    strictness: float | None = None
    """Overrides the number behind `preference`, for experiments."""

    @property
    def v(self) -> float:
        """Price of a late request, relative to `balanced`."""
        return PRICE_OF_LATENESS[self.preference] if self.strictness is None else self.strictness


class Kind(StrEnum):
    """What a decision does."""

    UP = "up"
    DOWN = "down"
    WAKE = "wake"
    """From zero."""
    SLEEP = "sleep"
    """To zero."""
    HOLD = "hold"
    """Decided to leave the number alone."""
    NO_DATA = "noData"
    """Left alone because metrics are missing or stale."""
    FIXED = "fixed"
    NOT_DUE = "notDue"
    """Between two decisions: nothing was decided, the observation was taken in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many replicas to ask for, and why."""

    at: float
    before: int
    after: int
    kind: Kind
    reason: str
    """One line that a person understands."""
    inputs: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    capped_by: str = ""
    """`max`, `maxCostPerHour` or `supply`: the bound that kept it from asking for more."""
    stuck: tuple[str, ...] = ()
    """Pods that should have become Ready long ago. They do not count as supply: report and recreate them."""
    hung: tuple[str, ...] = ()
    """Pods that have work and do none: send them nothing and replace them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pod that could leave."""

    pod: str
    loading: bool
    age: float
    in_flight: int
    """Running and waiting; what is not known counts as many."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Work that arrived in a few seconds, and the state of the fleet in them."""

    end: float
    """Policy clock, seconds."""
    span: float
    arrivals: float
    prompt: float
    """Prompt tokens to compute."""
    generated: float
    asked: float
    """Tokens to generate, counted when their requests queued instead of when the queue was worked off."""
    batch: float
    """Usable batch of one replica."""
    prompt_mean: float
    running: float
    """Sequences running on one replica."""
    present: int
    """Requests that ran, waited or were held at its end."""


@dataclass(frozen=True, slots=True)
class Counters:
    """The last sample of a pod that was counted."""

    at: float
    running: int
    waiting: int
    completions: int
    generation_tokens: int
    prompt_tokens: int
    steps: int
    moved: float
    """Policy clock when it last had no work or did some."""
    seen: float
    """Policy clock of this sample."""


@dataclass(frozen=True, slots=True)
class CostModel:
    """Step time = base + per_sequence · batch + per_prompt_token · prompt tokens, learnt by least squares."""

    sums: tuple[float, float, float, float, float, float, float, float, float] = (0.0,) * 9
    """Upper triangle of Σ x·xᵀ (6), then Σ x·t (3), forgetting."""
    base: float = 0.02
    per_sequence: float = 0.0002
    per_prompt_token: float = 0.0002
    error: float = 0.0
    """Σ |predicted − measured| seconds, forgetting."""
    measured: float = 0.0
    """Σ measured seconds, forgetting."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What a request is made of: decaying sums."""

    arrivals: float = 0.0
    prompt: float = 0.0
    completions: float = 0.0
    generated: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that the policy remembers. Its clock runs only while there is data, so a gap ages nothing."""

    at: float | None = None
    """When the last observation with data was."""
    clock: float = 0.0
    decided: float | None = None
    """Policy clock of the last decision."""
    pods: Mapping[str, Counters] = field(default_factory=dict)
    held: int = 0
    owed: float = 0.0
    """Tokens that were counted when their requests queued and that engines have yet to generate."""
    bins: tuple[Bin, ...] = ()
    needs: tuple[tuple[float, float], ...] = ()
    """(clock, replicas) of the last decisions, for the filter on the way up."""
    peaks: tuple[tuple[float, float], ...] = ()
    """(clock, replicas), falling: needs that no later one exceeded, for the hold on the way down."""
    model: CostModel = CostModel()
    mix: Mix = Mix()
    batch: float | None = None
    """Usable batch of one replica, as last seen."""
    startup: float | None = None
    """Estimated seconds from created to Ready; unset until one was seen."""
    idle_since: float | None = None
    queued_at: float | None = None
    """Policy clock when the queue was last worth a replica."""
    quiet_until: float = 0.0
    """Policy clock until which nothing shrinks, because metrics had a gap."""
