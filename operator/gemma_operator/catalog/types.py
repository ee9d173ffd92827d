"""What the catalog knows, as plain values: models, checkpoints, accelerators, images.

Bytes are bytes on the GPU unless a name says otherwise. `inferred` lists the fields of a row that were computed or
concluded and not read from a source; every place that shows such a row shows the mark.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gemma_operator.api.spec import ModelKey, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionLayers:
    """The layers of one kind (sliding window or full attention)."""

    total: int
    owning_kv: int
    """Layers that keep a KV cache of their own; the others read a lower layer's."""
    kv_heads: int
    head_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Numbers of the decoder that the memory model needs."""

    hidden_size: int
    query_heads: int
    vocabulary: int
    window: int
    sliding: AttentionLayers
    full: AttentionLayers
    per_layer_embedding_bytes: int
    """bf16 bytes of the per-layer-embedding tables (E2B, E4B); 0 elsewhere."""
    encoder_bytes: int
    """bf16 bytes of the image and audio encoders."""
    tensor_parallel_sizes: tuple[int, ...]
    intermediate_size: int
    """Widest feed-forward size of a layer, of the dense path."""
    max_positions: int
    """Length of the rotary tables, which vLLM fills for the whole context limit of the configuration."""
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A size of the family."""

    key: ModelKey
    title: str
    quality: int
    """Rank on the quality ladder, higher is better."""
    quality_source: str
    context_limit: int
    modalities: tuple[str, ...]
    architecture: Architecture
    minimum_engine_version: Mapping[str, str] = field(hash=False)
    source: str
    inferred: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One set of weights of a model."""

    repository: str
    """Repository id (vLLM) or tag (Ollama)."""
    model: ModelKey
    engine: str
    precision: Precision
    weights_bytes: int
    """Bytes as loaded on one GPU at tensor parallel 1."""
    replicated_bytes: int
    """The part of `weights_bytes` that every GPU of a tensor parallel group holds whole."""
    download_bytes: int
    bytes_read_per_token: int
    """Bytes of weights streamed for one decode step of one sequence."""
    minimum_compute_capability: tuple[int, int] | None
    vendors: tuple[str, ...]
    """Accelerator vendors that can run it: `nvidia`, `amd`, `cpu`."""
    minimum_engine_version: str
    maximum_tensor_parallel: int | None
    text_only: bool
    preference: int
    """Between checkpoints of one model and precision, the lower is tried first."""
    source: str
    inferred: tuple[str, ...] = ()
    engine_args: tuple[str, ...] = ()
    """Arguments that the engine needs for these weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """One way in which a node says that it carries an accelerator."""

    source: str
    """`mig`, `gfd`, `gke`, `karpenter`, `eks-auto`, `eks`, `aks`, `coreweave`, `amd`, or `custom`."""
    labels: Mapping[str, tuple[str, ...]] = field(hash=False)
    """Every label must have one of its values."""
    memory_label: str | None = None
    """Label with the memory in MiB that decides where product labels are ambiguous."""
    memory_mib: tuple[int, int] | None = None
    """Lowest and highest value of `memory_label` that mean this accelerator, both included."""
    absent: tuple[str, ...] = ()
    """Labels that must not be there (they say that the GPU is partitioned or shared)."""
    resource: str | None = None
    """Extended resource of such nodes where it is not the row's (MIG strategy `single`)."""
    inferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A row of the hardware table."""

    name: str
    vendor: str
    resource: str | None
    """Extended resource name; `None` for `cpu`."""
    memory_bytes: int
    """As the driver reports it."""
    compute_capability: tuple[int, int] | None
    bandwidth: float
    """Bytes per second."""
    architecture: str
    bf16: bool
    fp8: bool
    nvfp4: bool
    interconnect: str
    host_architecture: str
    """`amd64` or `arm64`: decides the image."""
    price_per_hour: float | None
    """US dollars per GPU and hour, list price."""
    price_date: str
    price_kind: str
    """`on-demand`, `estimate`, `configured` or `unknown`."""
    identifications: tuple[Identification, ...]
    shared: bool
    """A time-sliced share: used only when listed."""
    source: str
    inferred: tuple[str, ...] = ()
    shares: int = 1
    """Shares of a time-sliced GPU. `memory_bytes` and `bandwidth` are one share's; the engine sees the whole card, so
    its memory utilisation is to be divided by this."""
    also: tuple[str, ...] = ()
    """Other names by which a spec may list this row, such as a MIG profile whatever its strategy."""
    price_source: str = ""
    """Where the price is listed."""
    made_up: bool = False
    """Not in the table: made from the labels of a node."""

    def answers_to(self, name: str) -> bool:
        """Whether a spec that lists `name` means this row."""
        return name == self.name or name in self.also


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImage:
    """The image of an engine for one vendor, host architecture and CUDA major version."""

    engine: str
    since: str
    """First engine version with this image."""
    before: str | None
    """First engine version without it; `None`: none yet."""
    vendor: str
    host_architecture: str
    image: str
    """Reference with `{version}` where the engine version goes."""
    cuda: tuple[int, int] | None
    minimum_driver: int | None
    """Major version of the NVIDIA driver that the image's CUDA needs."""
    source: str
    inferred: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All facts, loaded and checked."""

    models: Mapping[ModelKey, Model]
    checkpoints: tuple[Checkpoint, ...]
    accelerators: Mapping[str, Accelerator]
    images: tuple[EngineImage, ...]
    denied_versions: Mapping[str, Mapping[str, str]]
    """Engine → version → why it is denied."""
