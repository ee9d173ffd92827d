"""The shipped catalog: complete, consistent with the API, and every number where the plan needs it."""

import pytest
from gemma_operator.api import spec
from gemma_operator.catalog.images import image_for, images_for, reference
from gemma_operator.catalog.load import load_catalog

CATALOG = load_catalog()
NAMED = [
    "v100-16", "v100-32", "t4", "a10", "a10g", "a30", "l4", "rtx-3090", "rtx-4090", "rtx-5090", "rtx-a6000",
    "rtx-6000-ada", "l40s", "rtx-pro-6000", "rtx-pro-4500", "a100-40", "a100-40-pcie", "a100-80", "a100-80-pcie",
    "h100", "h100-pcie", "h100-nvl", "h200", "gh200", "b200", "b300", "gb200", "gb300", "mi300x", "mi325x", "mi355x",
    "cpu", "a100-40-mig-1g.5gb", "a100-80-mig-3g.40gb", "h100-mig-7g.80gb",
]  # fmt: skip

ARCHITECTURE = {
    # layers, hidden, query heads, KV heads sliding/full, owning sliding/full, window, context
    "e2b": (35, 1536, 8, (1, 1), (12, 3), 512, 131072),
    "e4b": (42, 2560, 8, (2, 2), (20, 4), 512, 131072),
    "12b": (48, 3840, 16, (8, 1), (40, 8), 1024, 262144),
    "26b-a4b": (30, 2816, 16, (8, 2), (25, 5), 1024, 262144),
    "31b": (60, 5376, 32, (16, 4), (50, 10), 1024, 262144),
}


def test_every_accelerator_that_the_product_promises_is_there() -> None:
    assert set(NAMED) <= set(CATALOG.accelerators)
    assert sum("-mig-" not in name for name in CATALOG.accelerators) >= 30


@pytest.mark.parametrize("key", spec.MODEL_KEYS)
def test_architecture(key: spec.ModelKey) -> None:
    model = CATALOG.models[key]
    numbers = model.architecture
    layers, hidden, heads, kv_heads, owning, window, context = ARCHITECTURE[key]
    assert numbers.sliding.total + numbers.full.total == layers
    assert (numbers.hidden_size, numbers.query_heads, numbers.window) == (hidden, heads, window)
    assert (numbers.sliding.kv_heads, numbers.full.kv_heads) == kv_heads
    assert (numbers.sliding.owning_kv, numbers.full.owning_kv) == owning
    assert (numbers.sliding.head_size, numbers.full.head_size) == (256, 512)
    assert model.context_limit == context == numbers.max_positions


def test_models_and_deny_list_agree_with_the_api() -> None:
    assert tuple(CATALOG.models) == spec.MODEL_KEYS
    assert {key: model.context_limit for key, model in CATALOG.models.items()} == spec.CONTEXT_LIMITS
    assert CATALOG.denied_versions["vllm"] == spec.DENIED_VLLM_VERSIONS
    oldest = min(model.minimum_engine_version["vllm"] for model in CATALOG.models.values())
    assert oldest == spec.MINIMUM_VLLM_VERSION
    for row in CATALOG.checkpoints:
        if row.repository.startswith("google/") and row.precision == "bf16":
            assert spec.model_key(row.repository) == row.model


def test_quality_rises_with_size_and_says_why() -> None:
    ladder = [CATALOG.models[key] for key in spec.MODEL_KEYS]
    assert [model.quality for model in ladder] == sorted({model.quality for model in ladder})
    assert all("MMLU-Pro" in model.quality_source for model in ladder)
    assert "quality" in CATALOG.models["12b"].inferred


@pytest.mark.parametrize(
    ("model", "precisions"),
    [
        ("e2b", {"bf16", "fp8", "int4"}),
        ("e4b", {"bf16", "fp8", "int4"}),
        ("12b", {"bf16", "int8", "int4"}),
        ("26b-a4b", {"bf16", "fp8", "int8", "int4", "nvfp4"}),
        ("31b", {"bf16", "fp8", "int4", "nvfp4"}),
    ],
)
def test_checkpoints_of_each_precision(model: str, precisions: set[str]) -> None:
    rows = [row for row in CATALOG.checkpoints if row.model == model]
    assert {row.precision for row in rows if row.engine == "vllm"} == precisions
    assert any(row.engine == "ollama" for row in rows)
    for precision in precisions:
        preferences = [row.preference for row in rows if row.engine == "vllm" and row.precision == precision]
        assert len(preferences) == len(set(preferences))


def test_needs_of_checkpoints() -> None:
    for row in CATALOG.checkpoints:
        if row.engine == "vllm":
            assert (row.minimum_compute_capability or (0, 0)) >= (8, 0)
            assert row.precision != "fp8" or row.minimum_compute_capability == (8, 9)
            assert row.precision != "nvfp4" or row.minimum_compute_capability == (10, 0)
            if row.model == "26b-a4b" and row.precision != "bf16":
                assert row.maximum_tensor_parallel in (1, 2)
        if row.model == "12b" and row.engine == "vllm":
            assert row.minimum_engine_version == "0.23.0"
    int8 = next(row for row in CATALOG.checkpoints if row.model == "26b-a4b" and row.precision == "int8")
    assert int8.engine_args == ("--quantization=int8_per_channel_weight_only",)
    assert int8.repository == "google/gemma-4-26B-A4B-it"


def test_per_layer_embeddings_stay_whole_when_weights_are_quantised() -> None:
    for key in ("e2b", "e4b"):
        tables = CATALOG.models[key].architecture.per_layer_embedding_bytes
        assert all(
            row.weights_bytes > tables for row in CATALOG.checkpoints if row.model == key and row.engine == "vllm"
        )


@pytest.mark.parametrize("name", sorted(CATALOG.accelerators))
def test_accelerator_row(name: str) -> None:
    row = CATALOG.accelerators[name]
    assert row.price_per_hour is not None
    assert row.price_date.startswith("20")
    assert row.price_kind in {"on-demand", "estimate"}
    assert "price" in row.inferred
    assert row.bandwidth > 1e10
    assert row.identifications
    if row.vendor == "nvidia":
        assert row.compute_capability is not None
        assert row.bf16 == (row.compute_capability >= (8, 0))
        assert row.fp8 == (row.compute_capability >= (8, 9))
        assert row.nvfp4 == (row.compute_capability >= (10, 0))


def test_partitions_share_their_gpu() -> None:
    whole, part = CATALOG.accelerators["a100-40"], CATALOG.accelerators["a100-40-mig-3g.20gb"]
    assert part.resource == "nvidia.com/mig-3g.20gb"
    assert part.bandwidth == whole.bandwidth / 2
    assert part.memory_bytes < whole.memory_bytes / 2
    assert part.price_per_hour == pytest.approx((whole.price_per_hour or 0) * 3 / 7, abs=1e-3)


def test_image_follows_driver_version_and_host() -> None:
    def chosen(version: str, driver: int | None, host: str = "amd64", vendor: str = "nvidia") -> str:
        image = image_for(CATALOG, engine="vllm", version=version, vendor=vendor, host_architecture=host, driver=driver)
        return reference(image, version)

    assert chosen("0.32.0", None) == "docker.io/vllm/vllm-openai:v0.32.0"
    assert chosen("0.32.0", 580) == "docker.io/vllm/vllm-openai:v0.32.0"
    assert chosen("0.32.0", 550) == "docker.io/vllm/vllm-openai:v0.32.0-cu129"
    assert chosen("0.19.1", 550) == "docker.io/vllm/vllm-openai:v0.19.1"
    assert chosen("0.32.0", 580, host="arm64") == "docker.io/vllm/vllm-openai:v0.32.0"
    assert "rocm" in chosen("0.32.0", None, vendor="amd")
    assert "cpu" in chosen("0.32.0", None, vendor="cpu")


def test_no_image_says_why() -> None:
    with pytest.raises(LookupError, match="needs NVIDIA driver 525 or newer, the nodes have 470"):
        image_for(CATALOG, engine="vllm", version="0.32.0", vendor="nvidia", host_architecture="amd64", driver=470)
    with pytest.raises(LookupError, match=r"no image of vllm 0\.32\.0 for amd on arm64"):
        image_for(CATALOG, engine="vllm", version="0.32.0", vendor="amd", host_architecture="arm64", driver=None)
    assert images_for(CATALOG, engine="vllm", version="0.18.0", vendor="nvidia", host_architecture="amd64") == ()
