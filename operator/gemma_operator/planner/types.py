"""The plan: pure data that the CLI prints, the renderer turns into manifests and the operator keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from gemma_operator.api.spec import ModelKey, Precision


class Supply(IntEnum):
    """How the GPUs of a candidate can be had, best first."""

    FREE = 0
    PROVISIONABLE = 1
    OCCUPIED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes per GPU of one replica."""

    reported: int
    usable: int
    weights: int
    overhead: int
    kv_cache: int
    kv_per_sequence: int
    """KV cache bytes that vLLM reserves for one sequence of `max_model_len`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one engine pod asks of its node besides GPUs."""

    cpu_millis: int
    memory_bytes: int
    ephemeral_bytes: int
    shm_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A chosen candidate: what one Deployment runs, with every number that was chosen for it."""

    model: ModelKey
    checkpoint: str
    """Repository id of the weights."""
    precision: Precision
    engine: str
    engine_version: str
    image: str
    accelerator: str
    resource: str | None
    """Extended resource name such as `nvidia.com/gpu`; `None` for `cpu`."""
    gpus_per_replica: int
    replicas: int
    """Replicas that the plan was made for; the number that runs is the scaler's."""
    supply: Supply
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    kv_cache_dtype: str
    """`auto` or `fp8`, as vLLM names it."""
    gpu_memory_utilization: float
    kv_cache_tokens: int
    sequences_typical: int
    """Sequences of `typicalTokens` that the KV cache holds at once."""
    sequences_full: int
    """Sequences of `max_model_len` that the KV cache holds at once."""
    memory: Memory
    resources: Resources
    node_selector_terms: tuple[dict[str, Any], ...]
    """OR-ed `nodeSelectorTerms` of a Pod's required node affinity."""
    tolerations: tuple[dict[str, Any], ...]
    args: tuple[str, ...]
    """Arguments of the engine container, complete."""
    env: tuple[tuple[str, str], ...]
    decode_tokens_per_second: float
    """Estimated, for one request at `concurrency`."""
    cost_per_hour: float | None
    """US dollars for one replica; `None` when the price is unknown."""
    cost_per_million_tokens: float | None
    weights_bytes: int
    """Bytes to download."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    """Labels that `spec.pod.nodeSelector` wants besides."""
    inferred: tuple[str, ...] = ()
    """Facts behind this pool that were inferred and not read from a source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A candidate that was not chosen, and the one reason."""

    model: ModelKey
    precision: Precision
    engine: str
    accelerator: str
    gpus_per_replica: int
    reason: str
    code: str
    """Stable word for programs, such as `WeightsTooLarge`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The pools in order of preference, why, and what was rejected. `pools` is empty when nothing fits."""

    pools: tuple[Pool, ...]
    reason: str
    rejected: tuple[Rejection, ...] = ()
    blocked: str = ""
    """Reason constant of `api.conditions` when `pools` is empty."""
    next_step: str = ""
    warnings: tuple[str, ...] = field(default=())
