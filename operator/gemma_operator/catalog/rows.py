"""The shape of the fact files: what pydantic checks before a row becomes a value of `types.py`."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from gemma_operator.api.spec import ModelKey, Precision

_UNITS = {"MiB": 2**20, "GiB": 2**30, "GB": 10**9, "B": 1}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(MiB|GiB|GB|B)")


def size(value: object) -> object:
    """Bytes of a size with its unit, such as `58.9 GiB`; plain numbers are refused because they hide the unit."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no size: write a number and MiB, GiB or GB, such as `58.9 GiB`")
    return round(float(match[1]) * _UNITS[match[2]])


def pair(value: object) -> object:
    """(major, minor) of a version such as 8.9, written as a number."""
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,2}\.[0-9]", text):
        raise ValueError(f"{value!r} is no version: write major and minor, such as `8.9`")
    major, minor = text.split(".")
    return int(major), int(minor)


def listed(value: object) -> object:
    """A list of entries; one entry, or a plain list of label values, may stand for it."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [{"values": value}]
    return [value] if isinstance(value, dict) else value


def marks(*fields: str) -> BeforeValidator:
    """Names of fields that may be marked as inferred; another name is a spelling mistake."""

    def check(value: object) -> object:
        unknown = sorted(set(value) - set(fields)) if isinstance(value, list) else []
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is no field that can be inferred: use {', '.join(fields)}")
        return value

    return BeforeValidator(check)


Bytes = Annotated[int, BeforeValidator(size), Field(ge=0)]
Pair = Annotated[tuple[int, int], BeforeValidator(pair)]
EngineVersion = Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Engine = Literal["vllm", "ollama"]
Vendor = Literal["nvidia", "amd", "cpu"]


class Base(BaseModel):
    """Base of every row: camelCase, unknown fields refused, nothing guessed from another type."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )


class LayersRow(Base):
    """Layers of one attention kind."""

    total: int = Field(ge=1)
    owning_kv: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_size: int = Field(ge=1)

    @model_validator(mode="after")
    def _owners(self) -> Self:
        if self.owning_kv > self.total:
            raise ValueError("owningKv is above total: layers that own a KV cache are layers")
        return self


class ArchitectureRow(Base):
    """Numbers of a decoder."""

    hidden_size: int = Field(ge=1)
    query_heads: int = Field(ge=1)
    vocabulary: int = Field(ge=1)
    window: int = Field(ge=1)
    sliding: LayersRow
    full: LayersRow
    per_layer_embedding: Bytes
    encoders: Bytes
    tensor_parallel_sizes: list[int] = Field(min_length=1)
    intermediate_size: int = Field(ge=1)
    max_positions: int = Field(ge=1)
    experts: int = Field(0, ge=0)
    experts_per_token: int = Field(0, ge=0)
    expert_intermediate_size: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _legal_tensor_parallel(self) -> Self:
        for tp in self.tensor_parallel_sizes:
            if self.query_heads % tp:
                raise ValueError(f"tensor parallel size {tp} does not divide {self.query_heads} query heads")
            for heads in (self.sliding.kv_heads, self.full.kv_heads):
                if heads % tp and tp % heads:
                    raise ValueError(f"tensor parallel size {tp} neither divides nor repeats {heads} KV heads")
        return self


class ModelRow(Base):
    """A size of the family."""

    key: ModelKey
    title: Text
    quality: int
    quality_source: Text
    context_limit: int = Field(ge=1)
    modalities: list[Literal["text", "image", "audio"]] = Field(min_length=1)
    architecture: ArchitectureRow
    minimum_engine_version: dict[Engine, EngineVersion]
    source: Text
    inferred: Annotated[list[str], marks("quality", "contextLimit", "modalities", "perLayerEmbedding", "encoders")] = (
        Field(default_factory=list)
    )


class CheckpointRow(Base):
    """One set of weights."""

    repository: Text
    model: ModelKey
    engine: Engine
    precision: Precision
    loaded: Bytes
    replicated: Annotated[int, BeforeValidator(size)] = 0
    download: Bytes
    read_per_token: Bytes
    minimum_compute_capability: Pair | None = None
    minimum_engine_version: EngineVersion | None = None
    maximum_tensor_parallel: int | None = Field(None, ge=1)
    vendors: list[Vendor] = Field(min_length=1)
    text_only: bool = False
    preference: int = Field(1, ge=1)
    engine_args: list[Annotated[str, StringConstraints(pattern=r"^--[a-z]")]] = Field(default_factory=list)
    source: Text
    inferred: Annotated[
        list[str],
        marks(
            "loaded",
            "replicated",
            "download",
            "readPerToken",
            "minimumComputeCapability",
            "maximumTensorParallel",
            "vendors",
        ),
    ] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.replicated > self.loaded:
            raise ValueError("replicated is above loaded: it is a part of it")
        if self.read_per_token > self.loaded * 1.1:
            raise ValueError("readPerToken is above loaded: a decode step reads each weight at most once")
        return self


class ModelsFile(Base):
    """models.yaml."""

    models: list[ModelRow]
    checkpoints: list[CheckpointRow]
    denied_versions: dict[Engine, dict[EngineVersion, Text]]


class PriceRow(Base):
    """List price of one GPU."""

    per_hour: float = Field(gt=0, le=1000)
    date: str = Field("", pattern=r"^(20[0-9]{2}-[01][0-9](-[0-3][0-9])?)?$")
    kind: Literal["on-demand", "estimate", "configured"]
    source: Text

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.kind != "configured" and not self.date:
            raise ValueError("date is missing: say from which month the price is, such as `2026-11`")
        return self


class LabelValues(Base):
    """Values of one label that mean this accelerator."""

    values: list[Annotated[str, StringConstraints(min_length=1, max_length=63)]] = Field(min_length=1)
    memory_mib: tuple[int, int] | None = None
    inferred: bool = False


Values = Annotated[list[LabelValues], BeforeValidator(listed)]


class LabelsRow(Base):
    """How nodes show that they carry an accelerator, by who labels them."""

    gfd: Values = Field(default_factory=list)
    gke: Values = Field(default_factory=list)
    karpenter: Values = Field(default_factory=list)
    eks: Values = Field(default_factory=list)
    aks: Values = Field(default_factory=list)
    coreweave: Values = Field(default_factory=list)
    amd: Values = Field(default_factory=list)
    custom: dict[str, list[str]] = Field(default_factory=dict)


AcceleratorMarks = Annotated[
    list[str],
    marks(
        "memory",
        "bandwidth",
        "computeCapability",
        "price",
        "interconnect",
        "gfd",
        "gke",
        "karpenter",
        "eks",
        "aks",
        "coreweave",
        "amd",
    ),
]


class AcceleratorFacts(Base):
    """A row of the hardware table."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)
    vendor: Vendor
    memory: Bytes
    compute_capability: Pair | None = None
    bandwidth: float = Field(gt=0, le=100_000)
    architecture: Text
    bf16: bool | None = None
    fp8: bool | None = None
    nvfp4: bool | None = None
    interconnect: Text
    host_architecture: Literal["amd64", "arm64"] = "amd64"
    resource: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9_.-]+$")] | None = None
    price: PriceRow | None = None
    labels: LabelsRow
    source: Text
    inferred: AcceleratorMarks = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.vendor == "nvidia" and self.compute_capability is None:
            raise ValueError("computeCapability is missing: vLLM decides by it what an NVIDIA GPU can run")
        if self.labels == LabelsRow():
            raise ValueError("labels is empty: say by which labels a node shows that it carries this GPU")
        return self


class ProfileRow(Base):
    """A MIG profile of a GPU."""

    profile: str = Field(pattern=r"^[1-7]g\.[0-9]+gb$")
    memory: Bytes
    memory_slices: int = Field(ge=1, le=8)
    compute_slices: int = Field(ge=1, le=7)


class MigRow(Base):
    """The MIG profiles of some GPUs."""

    of: list[str] = Field(min_length=1)
    profiles: list[ProfileRow] = Field(min_length=1)
    source: Text
    inferred: AcceleratorMarks = Field(default_factory=list)


class AcceleratorsFile(Base):
    """accelerators.yaml."""

    accelerators: list[AcceleratorFacts]
    mig: list[MigRow]


class ImageRow(Base):
    """The image of an engine for one vendor and host architecture."""

    engine: Engine
    vendor: Vendor
    host_architecture: Literal["amd64", "arm64"]
    since: EngineVersion
    before: EngineVersion | None = None
    image: str = Field(pattern=r"^[a-z0-9.-]+/.+:.*\{version\}")
    cuda: Pair | None = None
    minimum_driver: int | None = Field(None, ge=1)
    source: Text
    inferred: Annotated[list[str], marks("image", "minimumDriver")] = Field(default_factory=list)


class ImagesFile(Base):
    """images.yaml."""

    images: list[ImageRow]


def merge(base: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """A raw row with the fields of an override: `labels` merge by source, everything else is replaced.

    What the override gives is no longer marked as inferred, and its price is a configured one.
    """
    merged = {**base, **fields}
    given = set(fields)
    if isinstance(fields.get("price"), dict):
        merged["price"] = {"kind": "configured", "source": "operator configuration", **fields["price"]}
    if isinstance(fields.get("labels"), dict):
        given |= set(fields["labels"])
        merged["labels"] = {**base.get("labels", {}), **fields["labels"]}
    if "inferred" not in fields:
        merged["inferred"] = [name for name in base.get("inferred", []) if name not in given]
    return merged
