"""Whether a candidate fits the memory of its accelerator, and with which lengths and batch sizes.

Tried in this order until one holds: full KV precision before fp8, 4096 batched tokens before fewer. The length is the
one that was asked for: a longer one would only let single requests take what others were promised.
"""

from dataclasses import dataclass
from typing import Final

from gemma_operator.catalog.types import Accelerator
from gemma_operator.planner import memory
from gemma_operator.planner.ask import Ask
from gemma_operator.planner.candidates import Candidate
from gemma_operator.planner.refusal import Refusal, Stage
from gemma_operator.planner.resources import up_to_gib
from gemma_operator.planner.text import count, size
from gemma_operator.planner.types import Memory

_BATCHED_MULTIMODAL: Final = (4096, 2560)
"""At least 2496, the tokens of one image at the highest resolution (vllm-project/vllm#42687)."""
_BATCHED_TEXT: Final = (4096, 2048, 1024, 512)
_SEQUENCES: Final = (256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 4, 2, 1)
_CPU_SEQUENCES: Final = 32
_BATCHES_IN_FLIGHT_GPU: Final = 2
"""Async scheduling is on by default since vLLM 0.31."""
_BATCHES_IN_FLIGHT_CPU: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Numbers with which a candidate fits."""

    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    kv_cache_dtype: str
    utilization: float
    kv_cache_tokens: int
    sequences_typical: int
    sequences_full: int
    memory: Memory
    kv_read_bytes: int
    """KV cache bytes of one typical request, over all GPUs of the replica, in full precision."""


def fit(candidate: Candidate, ask: Ask) -> Fit | Refusal:
    """The first of the settings that holds, or why the most frugal one does not."""
    if candidate.row.resource is None:
        return _fit_cpu(candidate, ask)
    accelerator = candidate.row.accelerator
    refused: Refusal | None = None
    for dtype in ("auto", "fp8") if _fp8_cache(accelerator) else ("auto",):
        for batched in _batched(candidate, ask):
            found = _attempt(candidate, ask, dtype=dtype, batched=batched)
            if isinstance(found, Fit):
                return found
            refused = found
    assert refused is not None
    return refused


def _fp8_cache(accelerator: Accelerator) -> bool:
    """Ampere refuses fp8 KV (`fp8e4nv not supported`), so that it needs compute capability 8.9."""
    return accelerator.vendor == "nvidia" and accelerator.fp8


def _batched(candidate: Candidate, ask: Ask) -> tuple[int, ...]:
    multimodal = ask.multimodal(candidate.model, candidate.checkpoint)
    return _BATCHED_MULTIMODAL if multimodal else _BATCHED_TEXT


def _layout(candidate: Candidate, *, dtype: str, batched: int, batches: int) -> memory.KVLayout:
    return memory.kv_layout(
        model=candidate.model,
        tp=candidate.gpus,
        kv_dtype=dtype,
        max_num_batched_tokens=batched,
        batches_in_flight=batches,
        block_size=memory.block_size(candidate.row.accelerator, kv_dtype=dtype),
    )


def _attempt(candidate: Candidate, ask: Ask, *, dtype: str, batched: int) -> Fit | Refusal:
    accelerator, checkpoint, gpus = candidate.row.accelerator, candidate.checkpoint, candidate.gpus
    multimodal = ask.multimodal(candidate.model, checkpoint)
    utilization = ask.config.engine.gpu_memory_utilization
    usable = memory.usable(accelerator, utilization=utilization)
    weights = memory.weights_per_gpu(checkpoint, gpus=gpus, model=candidate.model, multimodal=multimodal)
    context, typical = ask.spec.context, min(ask.spec.typical_tokens, ask.spec.context)
    layout = _layout(candidate, dtype=dtype, batched=batched, batches=_BATCHES_IN_FLIGHT_GPU)
    refused: Refusal | None = None
    for sequences in _ladder(ask):
        overhead = memory.overhead(
            candidate.model,
            checkpoint,
            accelerator,
            gpus=gpus,
            max_num_batched_tokens=batched,
            max_num_seqs=sequences,
            multimodal=multimodal,
        )
        available = usable - weights - overhead
        capacity = memory.kv_capacity(layout, available=available, context=context)
        some = max(capacity.blocks - 1, 0) // layout.blocks(typical)
        if capacity.sequences >= 1 and some >= sequences:
            return Fit(
                max_model_len=context,
                max_num_seqs=sequences,
                max_num_batched_tokens=batched,
                kv_cache_dtype=dtype,
                utilization=round(utilization / accelerator.shares, 4),
                kv_cache_tokens=capacity.tokens,
                sequences_typical=some,
                sequences_full=capacity.sequences,
                memory=Memory(
                    reported=accelerator.memory_bytes,
                    usable=usable,
                    weights=weights,
                    overhead=overhead,
                    kv_cache=available,
                    kv_per_sequence=layout.bytes(context),
                ),
                kv_read_bytes=_kv_read(candidate, typical=typical),
            )
        refused = _refusal(
            candidate, ask, usable=usable, weights=weights, overhead=overhead, layout=layout, capacity=capacity
        )
    assert refused is not None
    return refused


def _ladder(ask: Ask) -> tuple[int, ...]:
    """Values of `max_num_seqs` to try, largest first, none below what was asked for; or the user's own argument."""
    concurrency = ask.spec.concurrency
    if (given := ask.extra_number("--max-num-seqs")) is not None:
        return (given,)
    return (*(step for step in _SEQUENCES if step > concurrency), concurrency)


def _kv_read(candidate: Candidate, *, typical: int) -> int:
    """KV bytes that one decode step of one request reads: global layers whole, sliding layers inside the window."""
    architecture = candidate.model.architecture
    return (
        2
        * 2
        * sum(
            layers.total * max(layers.kv_heads, candidate.gpus) * layers.head_size * tokens
            for layers, tokens in (
                (architecture.full, typical),
                (architecture.sliding, min(typical, architecture.window)),
            )
        )
    )


def _refusal(
    candidate: Candidate,
    ask: Ask,
    *,
    usable: int,
    weights: int,
    overhead: int,
    layout: memory.KVLayout,
    capacity: memory.KVCapacity,
) -> Refusal:
    if weights > usable:
        return Refusal(Stage.MEMORY, "WeightsTooLarge", f"weights {size(weights)} > {size(usable)} usable")
    left = usable - weights - overhead
    if left < layout.bytes_per_block:
        return Refusal(
            Stage.MEMORY,
            "WeightsTooLarge",
            f"weights {size(weights)} + overhead {size(overhead)} leave no KV cache of {size(usable)} usable",
        )
    context, typical = ask.spec.context, min(ask.spec.typical_tokens, ask.spec.context)
    if capacity.sequences < 1:
        longest = memory.max_context(layout, available=left, limit=candidate.model.context_limit)
        return Refusal(
            Stage.MEMORY,
            "ContextTooLong",
            f"one request of {context} tokens needs {size(layout.bytes(context) + layout.bytes_per_block)} of KV cache "
            f"and {size(left)} are left, enough for {longest} tokens",
        )
    some = (capacity.blocks - 1) // layout.blocks(typical)
    return Refusal(
        Stage.MEMORY,
        "TooFewSequences",
        f"{size(left)} of KV cache hold {count(some, 'request')} of {typical} tokens and concurrency asks for "
        f"{ask.spec.concurrency}",
    )


def _fit_cpu(candidate: Candidate, ask: Ask) -> Fit:
    """On a CPU memory is what the pod asks for: weights, overhead, and whole GiB of KV cache."""
    model, checkpoint, accelerator = candidate.model, candidate.checkpoint, candidate.row.accelerator
    multimodal = ask.multimodal(model, checkpoint)
    batched = _batched(candidate, ask)[0]
    context, typical = ask.spec.context, min(ask.spec.typical_tokens, ask.spec.context)
    layout = _layout(candidate, dtype="auto", batched=batched, batches=_BATCHES_IN_FLIGHT_CPU)
    given = ask.extra_number("--max-num-seqs")
    sequences = given or max(ask.spec.concurrency, min(_CPU_SEQUENCES, 2 * ask.spec.concurrency))
    wanted = max(layout.blocks(context), ask.spec.concurrency * layout.blocks(typical)) + 1
    kv_cache = up_to_gib(wanted * layout.bytes_per_block)
    weights = memory.weights_per_gpu(checkpoint, gpus=1, model=model, multimodal=multimodal)
    overhead = memory.overhead(
        model,
        checkpoint,
        accelerator,
        gpus=1,
        max_num_batched_tokens=batched,
        max_num_seqs=sequences,
        multimodal=multimodal,
    )
    capacity = memory.kv_capacity(layout, available=kv_cache, context=context)
    total = weights + overhead + kv_cache
    return Fit(
        max_model_len=context,
        max_num_seqs=sequences,
        max_num_batched_tokens=batched,
        kv_cache_dtype="auto",
        utilization=ask.config.engine.gpu_memory_utilization,
        kv_cache_tokens=capacity.tokens,
        sequences_typical=(capacity.blocks - 1) // layout.blocks(typical),
        sequences_full=capacity.sequences,
        memory=Memory(
            reported=total,
            usable=total,
            weights=weights,
            overhead=overhead,
            kv_cache=kv_cache,
            kv_per_sequence=layout.bytes(context),
        ),
        kv_read_bytes=_kv_read(candidate, typical=typical),
    )
