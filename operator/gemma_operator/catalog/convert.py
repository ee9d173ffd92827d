"""Checked rows of the fact files → values of `types.py`."""

from dataclasses import replace

from gemma_operator.catalog import rows
from gemma_operator.catalog.types import (
    Accelerator,
    Architecture,
    AttentionLayers,
    Checkpoint,
    EngineImage,
    Identification,
    Model,
)

GFD_PRODUCT = "nvidia.com/gpu.product"
GFD_MEMORY = "nvidia.com/gpu.memory"
GKE_ACCELERATOR = "cloud.google.com/gke-accelerator"
GKE_PARTITION = "cloud.google.com/gke-gpu-partition-size"
GKE_CLIENTS = "cloud.google.com/gke-max-shared-clients-per-gpu"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"

_LABELS: dict[str, tuple[tuple[str, str, str | None, tuple[str, ...]], ...]] = {
    "gfd": (("gfd", GFD_PRODUCT, GFD_MEMORY, ()),),
    "gke": (("gke", GKE_ACCELERATOR, None, (GKE_PARTITION, GKE_CLIENTS)),),
    "karpenter": (
        ("karpenter", "karpenter.k8s.aws/instance-gpu-name", "karpenter.k8s.aws/instance-gpu-memory", ()),
        ("eks-auto", "eks.amazonaws.com/instance-gpu-name", "eks.amazonaws.com/instance-gpu-memory", ()),
    ),
    "eks": (("eks", INSTANCE_TYPE, None, ()),),
    "aks": (("aks", INSTANCE_TYPE, None, ()),),
    "coreweave": (
        ("coreweave", "gpu.nvidia.com/class", None, ()),
        ("coreweave", "gpu.nvidia.com/model", None, ()),
    ),
    "amd": (
        ("amd", "amd.com/gpu.product-name", None, ()),
        ("amd", "beta.amd.com/gpu.product-name", None, ()),
    ),
}
_RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "cpu": None}


def model(row: rows.ModelRow) -> Model:
    """A model of models.yaml."""
    numbers = row.architecture
    return Model(
        key=row.key,
        title=row.title,
        quality=row.quality,
        quality_source=row.quality_source,
        context_limit=row.context_limit,
        modalities=tuple(row.modalities),
        architecture=Architecture(
            hidden_size=numbers.hidden_size,
            query_heads=numbers.query_heads,
            vocabulary=numbers.vocabulary,
            window=numbers.window,
            sliding=AttentionLayers(**numbers.sliding.model_dump()),
            full=AttentionLayers(**numbers.full.model_dump()),
            per_layer_embedding_bytes=numbers.per_layer_embedding,
            encoder_bytes=numbers.encoders,
            tensor_parallel_sizes=tuple(sorted(numbers.tensor_parallel_sizes)),
            intermediate_size=numbers.intermediate_size,
            max_positions=numbers.max_positions,
            experts=numbers.experts,
            experts_per_token=numbers.experts_per_token,
            expert_intermediate_size=numbers.expert_intermediate_size,
        ),
        minimum_engine_version={str(engine): version for engine, version in row.minimum_engine_version.items()},
        source=row.source,
        inferred=tuple(row.inferred),
    )


def checkpoint(row: rows.CheckpointRow, models: tuple[Model, ...]) -> Checkpoint:
    """A checkpoint of models.yaml; its engine version is the model's unless it needs a newer one."""
    minimum = row.minimum_engine_version or next(
        (known.minimum_engine_version[row.engine] for known in models if known.key == row.model), "0.0.0"
    )
    return Checkpoint(
        repository=row.repository,
        model=row.model,
        engine=row.engine,
        precision=row.precision,
        weights_bytes=row.loaded,
        replicated_bytes=row.replicated,
        download_bytes=row.download,
        bytes_read_per_token=row.read_per_token,
        minimum_compute_capability=row.minimum_compute_capability,
        vendors=tuple(row.vendors),
        minimum_engine_version=minimum,
        maximum_tensor_parallel=row.maximum_tensor_parallel,
        text_only=row.text_only,
        preference=row.preference,
        source=row.source,
        inferred=tuple(row.inferred),
        engine_args=tuple(row.engine_args),
    )


def accelerator(row: rows.AcceleratorFacts) -> Accelerator:
    """An accelerator of accelerators.yaml.

    Without an own word, an NVIDIA GPU has bf16 from compute capability 8.0, FP8 from 8.9 and NVFP4 from 10.0: the
    limits that vLLM checks.
    """
    capability = row.compute_capability or (0, 0)
    identifications = _identifications(row.labels, inferred=frozenset(row.inferred))
    return Accelerator(
        name=row.name,
        vendor=row.vendor,
        resource=row.resource or _RESOURCES[row.vendor],
        memory_bytes=row.memory,
        compute_capability=row.compute_capability,
        bandwidth=row.bandwidth * 1e9,
        architecture=row.architecture,
        bf16=row.bf16 if row.bf16 is not None else capability >= (8, 0),
        fp8=row.fp8 if row.fp8 is not None else capability >= (8, 9),
        nvfp4=row.nvfp4 if row.nvfp4 is not None else capability >= (10, 0),
        interconnect=row.interconnect,
        host_architecture=row.host_architecture,
        price_per_hour=row.price.per_hour if row.price else None,
        price_date=row.price.date if row.price else "",
        price_kind=row.price.kind if row.price else "unknown",
        price_source=row.price.source if row.price else "",
        identifications=identifications,
        shared=False,
        source=row.source,
        inferred=tuple(row.inferred),
    )


def partition(parent: Accelerator, row: rows.MigRow, profile: rows.ProfileRow) -> Accelerator:
    """A MIG profile of a GPU as a row of its own, found by its own resource (mixed) or by `nvidia.com/gpu` (single)."""
    mixed, whole = f"nvidia.com/mig-{profile.profile}", parent.resource
    identifications = []
    for found in parent.identifications:
        if found.source == "gfd":
            products = tuple(f"{value}-MIG-{profile.profile}" for value in found.labels[GFD_PRODUCT])
            for source, label, resource in (("mig", f"{mixed}.product", mixed), ("gfd", GFD_PRODUCT, whole)):
                identifications.append(
                    Identification(
                        source=source,
                        labels={label: products},
                        resource=resource,
                        inferred=found.inferred,
                    )
                )
        elif found.source == "gke":
            labels = {**found.labels, GKE_PARTITION: (profile.profile,)}
            identifications.append(replace(found, labels=labels, absent=(GKE_CLIENTS,), resource=whole))
    price = parent.price_per_hour
    return replace(
        parent,
        name=f"{parent.name}-mig-{profile.profile}",
        resource=mixed,
        memory_bytes=profile.memory,
        bandwidth=parent.bandwidth * profile.memory_slices / 8,
        interconnect="none",
        price_per_hour=round(price * profile.compute_slices / 7, 3) if price else None,
        identifications=tuple(identifications),
        source=row.source,
        inferred=tuple(row.inferred),
    )


def image(row: rows.ImageRow) -> EngineImage:
    """An image of images.yaml."""
    return EngineImage(
        engine=row.engine,
        since=row.since,
        before=row.before,
        vendor=row.vendor,
        host_architecture=row.host_architecture,
        image=row.image,
        cuda=row.cuda,
        minimum_driver=row.minimum_driver,
        source=row.source,
        inferred=tuple(row.inferred),
    )


def _identifications(labels: rows.LabelsRow, *, inferred: frozenset[str]) -> tuple[Identification, ...]:
    found = []
    for field, kinds in _LABELS.items():
        for entry in getattr(labels, field):
            for source, label, memory_label, absent in kinds:
                found.append(
                    Identification(
                        source=source,
                        labels={label: tuple(entry.values)},
                        memory_label=memory_label if entry.memory_mib else None,
                        memory_mib=entry.memory_mib,
                        absent=absent,
                        inferred=entry.inferred or field in inferred,
                    )
                )
    if labels.custom:
        custom = {label: tuple(values) for label, values in labels.custom.items()}
        found.append(Identification(source="custom", labels=custom))
    return tuple(found)
