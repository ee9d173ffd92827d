"""The status of a GemmaDeployment: a projection of what the operator sees, never read back to decide.

Every model takes the plan's own values (`PoolStatus.model_validate(pool, from_attributes=True)`) and leaves out
what belongs to manifests.
"""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

MAX_REJECTED = 8
MAX_DECISIONS = 20
MAX_SENTENCE = 4096


class Phase(StrEnum):
    """One word for people; programs read conditions."""

    PENDING = "Pending"
    """No plan holds yet: see the condition Planned."""
    STARTING = "Starting"
    """Planned, and no replica is ready yet."""
    READY = "Ready"
    """All wanted replicas serve."""
    UPDATING = "Updating"
    """It serves while replicas change."""
    DEGRADED = "Degraded"
    """It serves with less than was asked for."""
    STALLED = "Stalled"
    """It cannot go on without a person: see the condition Stalled."""
    ASLEEP = "Asleep"
    """No replica runs because nobody asks; the first request wakes it."""
    PAUSED = "Paused"
    """The annotation gemma4stack.dev/paused stops everything but status."""


class StatusModel(BaseModel):
    """Base of status: camelCase on the wire; attributes that status does not show are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        from_attributes=True,
        extra="ignore",
        frozen=True,
    )

    def to_dict(self) -> dict[str, Any]:
        """As written to the API server: unset fields are left out, numbers that are whole are integers nowhere."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _time(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, PlainSerializer(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A point in time in UTC, written in whole seconds as Kubernetes does."""


def _word(value: Any) -> Any:
    return value.name.capitalize() if isinstance(value, IntEnum) else value


def _cut(text: Any) -> Any:
    """Status has room for a page, and must never fail because a sentence is longer."""
    return text if not isinstance(text, str) or len(text) <= MAX_SENTENCE else text[: MAX_SENTENCE - 1] + "…"


Sentence = Annotated[str, BeforeValidator(_cut)]
Supply = Annotated[Literal["Free", "Provisionable", "Occupied"], BeforeValidator(_word)]


class Condition(StatusModel):
    """One aspect of the state, as in every Kubernetes API."""

    type: str = Field(max_length=64, description="Which aspect: see the list of condition types.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(max_length=128, description="One word for programs: why it has this value.")
    message: Sentence = Field(max_length=4096, description="What is so, and what to do next.")
    last_transition_time: Time = Field(description="When `status` last changed.")
    observed_generation: int = Field(0, description="Generation of the spec that this condition speaks of.")


class MemoryStatus(StatusModel):
    """Bytes per GPU of one replica."""

    reported: int = Field(description="Memory that the driver reports.")
    usable: int = Field(description="Memory that the engine may use.")
    weights: int = Field(description="Weights.")
    overhead: int = Field(description="Activations, CUDA graphs and the rest of the engine.")
    kv_cache: int = Field(description="KV cache.")
    kv_per_sequence: int = Field(description="KV cache that one sequence of `maxModelLen` reserves.")


class PoolStatus(StatusModel):
    """A chosen candidate, which runs as one Deployment, with every number that was chosen for it."""

    model: str = Field(description="Model.")
    checkpoint: str = Field(description="Repository of the weights.")
    precision: str = Field(description="Precision of the weights.")
    engine: str = Field(description="Inference engine.")
    engine_version: str = Field(description="Version of the engine.")
    image: str = Field(description="Image of the engine.")
    accelerator: str = Field(description="Row of the hardware table.")
    gpus_per_replica: int = Field(description="GPUs of one replica: the tensor parallel size. 0 on cpu.")
    replicas: int = Field(description="Replicas that the plan was made for.")
    supply: Supply = Field(description="Where the GPUs come from: free now, added by a node autoscaler, or in use.")
    max_model_len: int = Field(description="Tokens of prompt and answer that one request may use.")
    max_num_seqs: int = Field(description="Requests that one replica works on at once; more wait in it.")
    max_num_batched_tokens: int = Field(description="Tokens of one step of the engine.")
    kv_cache_dtype: str = Field(description="`auto`, or `fp8` where the cache is quantised.")
    gpu_memory_utilization: float = Field(description="Share of the GPU's memory that the engine may use.")
    kv_cache_tokens: int = Field(description="Tokens that the KV cache of one replica holds.")
    sequences_typical: int = Field(description="Requests of `typicalTokens` that one replica holds at once.")
    sequences_full: int = Field(description="Requests of `maxModelLen` that one replica holds at once.")
    memory: MemoryStatus = Field(description="Bytes per GPU.")
    decode_tokens_per_second: float = Field(
        description="Estimated decode speed of one request at `concurrency`, in tokens per second."
    )
    cost_per_hour: float | None = Field(
        None, description="US dollars per hour for one replica, list price; absent when the price is not known."
    )
    cost_per_million_tokens: float | None = Field(
        None, description="Estimated US dollars per million generated tokens at `concurrency`."
    )
    weights_bytes: int = Field(description="Bytes to download.")
    inferred: list[str] = Field(
        default_factory=list, description="Facts behind this pool that were inferred and not read from a source."
    )


class PlanStatus(StatusModel):
    """What was chosen and why."""

    pools: list[PoolStatus] = Field(max_length=8, description="Chosen candidates in order of preference.")
    reason: Sentence = Field(max_length=4096, description="Why these were chosen.")
    warnings: list[Sentence] = Field(default_factory=list, description="What to know about this plan.")


class RejectedStatus(StatusModel):
    """A candidate that was not chosen, and the one reason."""

    model: str = Field(description="Model.")
    precision: str = Field(description="Precision of the weights.")
    engine: str = Field(description="Inference engine.")
    accelerator: str = Field(description="Row of the hardware table.")
    gpus_per_replica: int = Field(description="GPUs of one replica.")
    reason: Sentence = Field(max_length=4096, description="Why it was not chosen, and what would help.")
    code: str = Field(max_length=64, description="One word for programs.")


class QueueStatus(StatusModel):
    """Requests, as engines and router last reported them."""

    running: int = Field(description="Requests that engines work on.")
    waiting: int = Field(description="Requests that wait in engines.")
    held: int = Field(description="Requests that wait in the router.")
    summary: str = Field(max_length=64, description="The same for people, such as `41 running, 18 waiting`.")
    at: Time = Field(description="When it was so.")


class DecisionStatus(StatusModel):
    """One decision of the scaler."""

    at: Time = Field(description="When it was made.")
    before: int = Field(description="Replicas before.")
    after: int = Field(description="Replicas after.")
    reason: Sentence = Field(max_length=4096, description="Why, with the numbers that counted.")
    inputs: dict[str, float] = Field(default_factory=dict, max_length=32, description="What it was decided from.")


class StartupStatus(StatusModel):
    """Measured seconds from the creation of a replica to Ready."""

    p50_seconds: int = Field(description="Half of the last starts took no longer.")
    p90_seconds: int = Field(description="Nine of ten of the last starts took no longer.")
    samples: int = Field(description="How many starts were measured.")


class EndpointStatus(StatusModel):
    """Where clients send requests."""

    url: str = Field(description="Base URL for OpenAI clients inside the cluster.")
    external_url: str | None = Field(
        None, description="Base URL for clients outside of the cluster, where routers are exposed."
    )
    models: list[str] = Field(max_length=32, description="Model names that it answers to.")


class GemmaDeploymentStatus(StatusModel):
    """What the operator sees."""

    observed_generation: int | None = Field(
        None, description="Generation of the spec that this status speaks of; -1 before the operator has looked."
    )
    phase: Phase | None = Field(None, description="One word for people; programs read `conditions`.")
    reason: str | None = Field(None, max_length=128, description="Reason of the condition that explains `phase`.")
    model: str | None = Field(None, max_length=128, description="Model and precision that run, such as `12b int4`.")
    accelerator: str | None = Field(None, max_length=128, description="GPUs of one replica, such as `2×l4`.")
    ready: str | None = Field(None, max_length=32, description="Ready and wanted replicas, such as `1/2`.")
    cost_per_hour: str | None = Field(
        None, max_length=32, description="US dollars per hour for the wanted replicas, list price, such as `1.42`."
    )
    replicas: int | None = Field(None, description="Replicas that exist.")
    ready_replicas: int | None = Field(None, description="Replicas that serve.")
    selector: str | None = Field(None, max_length=512, description="Label selector of the replicas, for HPA and KEDA.")
    queue: QueueStatus | None = Field(
        None, description="Requests that run and wait; written when it changes, at most every 30 seconds."
    )
    decisions: list[DecisionStatus] | None = Field(
        None, max_length=MAX_DECISIONS, description=f"The last {MAX_DECISIONS} decisions of the scaler, newest first."
    )
    startup: StartupStatus | None = Field(None, description="How long replicas of the current pool take to start.")
    outdated: Sentence | None = Field(
        None,
        max_length=4096,
        description="In what its engine pods are not what the operator would run now: `kubectl gemma upgrade` replaces "
        "them. Absent: in nothing, or the operator does not look at it now.",
    )
    observed_upgrade: str | None = Field(
        None,
        max_length=256,
        description="The upgrade (annotation `gemma4stack.dev/upgrade`) that this status speaks of.",
    )
    endpoint: EndpointStatus | None = Field(None, description="Where clients send requests.")
    plan: PlanStatus | None = Field(None, description="What was chosen and why.")
    rejected: list[RejectedStatus] | None = Field(
        None,
        max_length=MAX_REJECTED,
        description=f"Candidates that were not chosen, the best {MAX_REJECTED}; `kubectl gemma plan` shows all.",
    )
    conditions: list[Condition] | None = Field(
        None,
        max_length=16,
        description="Conditions: Ready, Reconciling, Stalled, Planned, Routed, ScalingActive, Degraded.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
