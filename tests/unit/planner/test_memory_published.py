"""Weights, overhead and KV cache against what vLLM logged on real GPUs, and what was published about fits and misfits.

Each case names where it was published. Utilisation and flags are those of the run; one batch in flight for runs before
async scheduling was counted (vLLM < 0.31).
"""

from dataclasses import dataclass

import pytest
from gemma_operator.api.spec import ModelKey
from gemma_operator.catalog.load import load_catalog
from gemma_operator.catalog.types import Checkpoint
from gemma_operator.planner import memory

CATALOG = load_catalog()
GIB = 2**30


def checkpoint(repository: str, precision: str | None = None) -> Checkpoint:
    return next(
        row
        for row in CATALOG.checkpoints
        if row.repository == repository and (precision is None or row.precision == precision)
    )


def layout(model: ModelKey, *, tp: int, dtype: str, batched: int, batches: int = 1) -> memory.KVLayout:
    return memory.kv_layout(
        model=CATALOG.models[model],
        tp=tp,
        kv_dtype=dtype,
        max_num_batched_tokens=batched,
        batches_in_flight=batches,
    )


# --- KV cache ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "blocks", "context", "tokens", "concurrency"),
    [
        # vllm/vllm-openai of July 2026 on one L40S, utilisation 0.90, AWQ 4-bit, default batched tokens (2496 for
        # Gemma 4): published benchmark reports with 19.0 and 21.2 GiB of KV cache.
        ("31b", 7791, 8192, 46_894, 5.72),
        ("31b", 7791, 16384, 78_941, 4.82),
        ("31b", 7791, 32768, 119_913, 3.66),
        ("26b-a4b", 34784, 8192, 209_368, 25.56),
        ("26b-a4b", 34784, 16384, 352_443, 21.51),
    ],
)
def test_reported_tokens_and_concurrency(
    model: ModelKey, blocks: int, context: int, tokens: int, concurrency: float
) -> None:
    cache = layout(model, tp=1, dtype="bf16", batched=2496)
    found = memory.kv_capacity(cache, available=blocks * cache.bytes_per_block, context=context)
    assert found.tokens == tokens
    assert round(found.max_concurrency, 2) == concurrency


def test_reported_sizes_are_those_blocks() -> None:
    assert round(7791 * layout("31b", tp=1, dtype="bf16", batched=2496).bytes_per_block / GIB, 1) == 19.0
    assert round(34784 * layout("26b-a4b", tp=1, dtype="bf16", batched=2496).bytes_per_block / GIB, 1) == 21.2


def test_12b_on_two_gpus_at_128k() -> None:
    """Log: 12B, TP 2, max_model_len 131072, 4096 batched tokens: 2.785 GiB per sequence (three digits, 0.1 %)."""
    assert layout("12b", tp=2, dtype="bf16", batched=4096).bytes(131072) / GIB == pytest.approx(2.785, rel=1e-3)


def test_31b_with_fp8_cache() -> None:
    """Log: 31B, fp8 KV, 32768, 8192 batched tokens: 11.57 sequences, hence 54 GiB at the bytes of one sequence."""
    one = layout("31b", tp=1, dtype="fp8", batched=8192)
    assert one.bytes(32768) / GIB == pytest.approx(4.77, rel=2e-3)
    found = memory.kv_capacity(one, available=round(11.57 * one.bytes(32768)), context=32768)
    assert found.max_concurrency == pytest.approx(11.57, abs=0.005)
    assert found.sequences == 11


def test_31b_slope_on_two_gpus() -> None:
    """Log: on two GPUs 31B needs 40,960 bytes more per token and GPU."""
    cache = layout("31b", tp=2, dtype="bf16", batched=4096)
    assert (cache.bytes(131072) - cache.bytes(65536)) / 65536 == 40_960


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repository", "precision", "loaded", "tolerance"),
    [
        ("google/gemma-4-31B-it", "bf16", 58.9, 0.005),
        # log of google/gemma-4-26B-A4B with vLLM 0.19 on A100
        ("google/gemma-4-26B-A4B-it", "bf16", 48.5, 0.005),
        ("RedHatAI/gemma-4-31B-it-FP8-dynamic", "fp8", 31.7, 0.005),
        # vllm-project/vllm#49878 loads 32.62 GiB with the drafter of 0.9 GB
        ("RedHatAI/gemma-4-31B-it-FP8-dynamic", "fp8", 32.62 - 0.9e9 / GIB, 0.01),
        ("RedHatAI/gemma-4-26B-A4B-it-FP8-dynamic", "fp8", 25.67, 0.005),
        ("nvidia/Gemma-4-31B-IT-NVFP4", "nvfp4", 31.18, 0.005),
        ("google/gemma-4-E2B-it-qat-w4a16-ct", "int4", 7.3, 0.005),
        ("google/gemma-4-E4B-it-qat-w4a16-ct", "int4", 9.8, 0.005),
        ("google/gemma-4-12B-it-qat-w4a16-ct", "int4", 8.3, 0.005),
        ("google/gemma-4-31B-it-qat-w4a16-ct", "int4", 19.8, 0.005),
        # noonghunna/club-3090#372 loads 17.17 GiB with the drafter of 0.83 GB
        ("Intel/gemma-4-26B-A4B-it-int4-mixed-AutoRound", "int4", 17.17 - 0.83e9 / GIB, 0.01),
    ],
)
def test_loaded_weights(repository: str, precision: str, loaded: float, tolerance: float) -> None:
    row = checkpoint(repository, precision)
    assert memory.weights_per_gpu(row, gpus=1, model=CATALOG.models[row.model]) / GIB == pytest.approx(
        loaded, rel=tolerance
    )


PARAMETERS = {
    # language model without embeddings, embeddings, per-layer tables, encoders; billions of parameters
    "e2b": (5.1 - 0.403 - 2.35 - 0.45, 262144 * 1536 / 1e9, 2.35, 0.45),
    "e4b": (8.0 - 0.671 - 2.82 - 0.45, 262144 * 2560 / 1e9, 2.82, 0.45),
    "12b": (11.95 - 1.007, 262144 * 3840 / 1e9, 0, 0),
    "26b-a4b": (25.2 - 0.738, 262144 * 2816 / 1e9, 0, 0.55),
    "31b": (30.7 - 1.409, 262144 * 5376 / 1e9, 0, 0.55),
}


@pytest.mark.parametrize(
    "row", [row for row in CATALOG.checkpoints if row.engine == "vllm"], ids=lambda row: row.repository
)
def test_loaded_weights_follow_from_parameter_counts(row: Checkpoint) -> None:
    """Linear layers at the checkpoint's width, embeddings, tables and encoders in bf16, rotary tables: within 12 %.

    int8 and nvidia's NVFP4 of 26B quantise the experts alone, nvidia's NVFP4 of 31B the feed-forward alone.
    """
    linear, embeddings, tables, encoders = PARAMETERS[row.model]
    model = CATALOG.models[row.model].architecture
    rotary = model.max_positions * (256 + 512) * 2 / 1e9
    width = {"bf16": 2, "fp8": 1, "int8": 1, "int4": 0.5625, "nvfp4": 0.5625}[row.precision]
    quantised = linear
    if row.model == "26b-a4b" and (row.precision == "int8" or row.repository.startswith("nvidia/")):
        quantised = 30 * 128 * 3 * 704 * 2816 / 1e9
    if row.repository == "nvidia/Gemma-4-31B-IT-NVFP4":
        quantised = 60 * 3 * 5376 * 21504 / 1e9
    expected = quantised * width + (linear - quantised) * 2 + 2 * (embeddings + tables) + rotary
    if not row.text_only:
        expected += 2 * encoders
    assert row.weights_bytes / 1e9 == pytest.approx(expected, rel=0.12)


def test_tables_and_embeddings_are_divided_but_encoders_are_not() -> None:
    row, model = checkpoint("google/gemma-4-E4B-it"), CATALOG.models["e4b"]
    one, two, four = (memory.weights_parts(row, gpus=gpus, model=model) for gpus in (1, 2, 4))
    assert one.repeated_kv_heads == two.repeated_kv_heads == 0
    assert four.repeated_kv_heads > 0
    assert two.replicated == one.replicated >= model.architecture.encoder_bytes
    assert two.divided == -(-one.divided // 2)
    text = memory.weights_parts(row, gpus=2, model=model, multimodal=False)
    assert two.total - text.total == model.architecture.encoder_bytes


def test_repeated_kv_heads_of_12b_on_two_gpus() -> None:
    """Eight global layers with one KV head of 512: half of K and V, 512 × 3840 × 2 bytes each, is repetition."""
    parts = memory.weights_parts(checkpoint("google/gemma-4-12B-it"), gpus=2, model=CATALOG.models["12b"])
    assert parts.repeated_kv_heads == 8 * 512 * 3840 * 2


# --- fits and misfits -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One published way to run a model."""

    repository: str
    accelerator: str
    gpus: int = 1
    utilization: float = 0.90
    dtype: str = "bf16"
    batched: int = 2496
    sequences: int = 256
    context: int = 8192
    multimodal: bool = True
    graphs: bool = True

    def kv_cache(self) -> int:
        """Bytes that are left for the KV cache of one GPU."""
        row = checkpoint(self.repository)
        model, accelerator = CATALOG.models[row.model], CATALOG.accelerators[self.accelerator]
        weights = memory.weights_per_gpu(row, gpus=self.gpus, model=model, multimodal=self.multimodal)
        overhead = memory.overhead_parts(
            model,
            accelerator,
            gpus=self.gpus,
            max_num_batched_tokens=self.batched,
            max_num_seqs=self.sequences,
            multimodal=self.multimodal,
            graphs=self.graphs,
        )
        return memory.usable(accelerator, utilization=self.utilization) - weights - overhead.total

    def longest(self, limit: int = 262144) -> int:
        """Longest context with which it starts."""
        row = checkpoint(self.repository)
        cache = layout(row.model, tp=self.gpus, dtype=self.dtype, batched=self.batched)
        return memory.max_context(cache, available=self.kv_cache(), limit=limit)


AWQ_31B, AWQ_26B = "cyankiwi/gemma-4-31B-it-AWQ-4bit", "cyankiwi/gemma-4-26B-A4B-it-AWQ-4bit"


@pytest.mark.parametrize(
    ("run", "logged"),
    [
        # "Available KV cache memory: 21.5 GiB", vLLM 0.19, --enforce-eager
        (Run(repository="google/gemma-4-26B-A4B-it", accelerator="a100-80", graphs=False), 21.5),
        # benchmark reports on L40S, see above
        (Run(repository=AWQ_31B, accelerator="l40s"), 19.02),
        (Run(repository=AWQ_26B, accelerator="l40s"), 21.23),
    ],
    ids=["26b-a100", "31b-awq-l40s", "26b-awq-l40s"],
)
def test_kv_cache_is_never_promised_that_was_not_there(run: Run, logged: float) -> None:
    """The estimate errs on the low side, by less than 1 GiB."""
    assert logged - 1.0 < run.kv_cache() / GIB <= logged


@pytest.mark.parametrize(
    ("run", "context"),
    [
        # vllm-project/recipes: verified on one RTX 5090
        (
            Run(
                repository="RedHatAI/gemma-4-26B-A4B-it-FP8-dynamic",
                accelerator="rtx-5090",
                utilization=0.92,
                dtype="fp8",
                batched=2048,
                sequences=1,
            ),
            131072,
        ),
        # giantswarm/agent-platform: usable at 8k on one 48 GB L40S
        (Run(repository="RedHatAI/gemma-4-31B-it-FP8-dynamic", accelerator="l40s"), 8192),
        # GoogleCloudPlatform/accelerated-platforms
        (Run(repository="google/gemma-4-E2B-it", accelerator="l4", utilization=0.89), 1024),
        (Run(repository="google/gemma-4-E4B-it", accelerator="l4", utilization=0.89), 2048),
        (Run(repository="google/gemma-4-26B-A4B-it", accelerator="h100", utilization=0.92), 131072),
        (Run(repository="google/gemma-4-31B-it", accelerator="rtx-pro-6000", utilization=0.92), 51200),
        (Run(repository="RedHatAI/gemma-4-31B-it-FP8-block", accelerator="h100", utilization=0.95), 32768),
        # vllm-project/recipes: 31B on two 80 GB GPUs, on one MI300X
        (Run(repository="google/gemma-4-31B-it", accelerator="h100", gpus=2), 32768),
        (Run(repository="google/gemma-4-31B-it", accelerator="mi300x"), 32768),
        # two RTX 3090: 31B 4-bit, 26B AWQ, 12B bf16; one RTX 3090: 12B int8 (noonghunna/club-3090)
        (Run(repository="google/gemma-4-31B-it-qat-w4a16-ct", accelerator="rtx-3090", gpus=2, batched=4096), 8192),
        (Run(repository=AWQ_26B, accelerator="rtx-3090", gpus=2), 32768),
        (Run(repository="google/gemma-4-12B-it", accelerator="rtx-3090", gpus=2), 32768),
        (Run(repository="Intel/gemma-4-12B-it-int8-AutoRound", accelerator="rtx-3090"), 32768),
    ],
    ids=lambda value: f"{value.repository}-{value.gpus}x{value.accelerator}" if isinstance(value, Run) else str(value),
)
def test_published_fits(run: Run, context: int) -> None:
    assert run.longest() >= context


@pytest.mark.parametrize(
    "run",
    [
        # 31B on one 24 GB card: out of memory whatever 4-bit checkpoint
        *(
            Run(repository=repository, accelerator=accelerator, batched=2496, sequences=1, dtype=dtype)
            for repository in ("google/gemma-4-31B-it-qat-w4a16-ct", AWQ_31B)
            for accelerator, dtype in (("l4", "fp8"), ("a10g", "bf16"), ("rtx-3090", "bf16"), ("rtx-4090", "fp8"))
        ),
        Run(repository="google/gemma-4-26B-A4B-it", accelerator="a100-40"),
        Run(repository="google/gemma-4-31B-it", accelerator="l40s", gpus=1),
        Run(repository="google/gemma-4-12B-it", accelerator="l4"),
    ],
    ids=lambda run: f"{run.repository}-{run.accelerator}",
)
def test_published_misfits(run: Run) -> None:
    """Not even one sequence of 1024 tokens."""
    assert run.longest() < 1024


def test_31b_nvfp4_does_not_fit_two_cards_of_16_gb() -> None:
    """discuss.vllm.ai/t/2674: out of memory on two RTX 5070 Ti even at 1024 tokens, text only."""
    row = checkpoint("nvidia/Gemma-4-31B-IT-NVFP4")
    weights = memory.weights_per_gpu(row, gpus=2, model=CATALOG.models["31b"], multimodal=False)
    assert weights > 0.9 * 16303 * 2**20 - 0.85 * GIB


# --- overhead ---------------------------------------------------------------------------------------------------------


def overhead(model: ModelKey, accelerator: str, **settings: int | bool) -> memory.Overhead:
    given: dict[str, int | bool] = {
        "gpus": 1,
        "max_num_batched_tokens": 4096,
        "max_num_seqs": 16,
        "multimodal": True,
        **settings,
    }
    return memory.overhead_parts(
        CATALOG.models[model],
        CATALOG.accelerators[accelerator],
        gpus=int(given["gpus"]),
        max_num_batched_tokens=int(given["max_num_batched_tokens"]),
        max_num_seqs=int(given["max_num_seqs"]),
        multimodal=bool(given["multimodal"]),
    )


def test_captured_graphs_of_31b() -> None:
    """vllm-project/vllm#41789: 28 graphs, the largest of 128 sequences, estimated at 0.27 GiB."""
    graphs = overhead("31b", "h100", max_num_seqs=64).graphs / GIB
    assert 0.27 <= graphs <= 0.27 * 1.15


def test_overhead_grows_with_tokens_sequences_and_group() -> None:
    base = overhead("31b", "h100")
    assert overhead("31b", "h100", max_num_batched_tokens=16384).peak > base.peak
    assert overhead("31b", "h100", max_num_seqs=256).total > base.total
    assert overhead("31b", "h100", gpus=2).communication > base.communication == 0
    assert (
        overhead("31b", "h100", max_num_batched_tokens=16384, gpus=2).peak
        < overhead("31b", "h100", max_num_batched_tokens=16384).peak
    )
    assert overhead("31b", "h100", multimodal=False).total < base.total


@pytest.mark.parametrize("model", list(CATALOG.models))
@pytest.mark.parametrize("accelerator", ["l4", "l40s", "a100-40", "h100", "b200"])
def test_overhead_is_near_what_is_commonly_seen(model: ModelKey, accelerator: str) -> None:
    """About 2 GiB (1.3 to 4) on one GPU with modest batches."""
    found = overhead(model, accelerator)
    assert 1.3 * GIB < found.total < 4 * GIB
    parts = found.driver + found.context + found.communication + found.peak + found.encoder_cache + found.graphs
    assert found.total == parts + found.margin


def test_cpu_has_neither_driver_nor_graphs() -> None:
    found = overhead("e4b", "cpu")
    assert (found.driver, found.graphs, found.communication) == (0, 0, 0)
    assert found.total > 3 * GIB


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_max_context_is_the_last_that_fits() -> None:
    cache = layout("31b", tp=1, dtype="bf16", batched=4096, batches=2)
    for available in (cache.bytes(8192), cache.bytes(8192) + cache.bytes_per_block, 40 * GIB, 3):
        longest = memory.max_context(cache, available=available, limit=262144)
        usable = available - cache.bytes_per_block
        assert longest == 0 or cache.bytes(longest) <= usable
        assert longest == 262144 or cache.bytes(longest + 1) > usable


@pytest.mark.parametrize(
    ("accelerator", "dtype", "size"),
    [("l4", "fp8", 16), ("h100", "auto", 16), ("h100", "fp8", 64), ("b200", "auto", 128), ("cpu", "auto", 128)],
)
def test_block_size(accelerator: str, dtype: str, size: int) -> None:
    assert memory.block_size(CATALOG.accelerators[accelerator], kv_dtype=dtype) == size
