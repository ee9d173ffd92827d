"""Memory of one GPU of a replica: usable = weights + overhead + KV cache. Everything in bytes.

Weights come from the catalog (loaded sizes) and are divided by tensor parallelism as vLLM divides them. Overhead is a
model of what vLLM 0.32 measures in its profile run; it is calibrated to published logs (`docs/planner-memory.md`,
`tests/unit/planner/test_memory_published.py`) and errs on the high side.
"""

from dataclasses import dataclass
from typing import Final

from gemma_operator.catalog.types import Accelerator, AttentionLayers, Checkpoint, Model
from gemma_operator.planner.kvcache import (
    DEFAULT_BLOCK_SIZE,
    KVCapacity,
    KVLayout,
    block_size,
    kv_bytes_per_sequence,
    kv_capacity,
    kv_layout,
    max_context,
)

__all__ = [
    "DEFAULT_BLOCK_SIZE",
    "KVCapacity",
    "KVLayout",
    "Overhead",
    "Weights",
    "block_size",
    "kv_bytes_per_sequence",
    "kv_capacity",
    "kv_layout",
    "max_context",
    "overhead",
    "overhead_parts",
    "usable",
    "weights_parts",
    "weights_per_gpu",
]

GIB: Final = 2**30
MIB: Final = 2**20

_DRIVER_SHARE: Final = 0.009
_DRIVER_LEAST: Final = GIB * 45 // 100
"""What the driver keeps of the memory it reports: CUDA sees 22.05 of 22.49 GiB on L4, 44.5 of 45.0 on L40S, 79.25 of
80.0 on A100."""
_CUDA_CONTEXT: Final = GIB * 4 // 10
_COMMUNICATION: Final = GIB * 4 // 10
"""NCCL channels and buffers of custom all-reduce, with tensor parallelism."""
_MARGIN: Final = GIB * 3 // 10
_CPU_PROCESS: Final = 3 * GIB
"""Python, PyTorch and the API server in host memory, with the CPU build."""
_LOGITS_BYTES: Final = 12
"""Per vocabulary entry and sequence in the sampler's profile run: bf16 and two float32 copies, rounded up."""
_VISION_PEAK: Final = GIB * 5 // 10
_SMALL_VISION_PEAK: Final = GIB * 3 // 10
_LARGE_ENCODER: Final = 10**9
_ENCODER_TOKENS: Final = 2496
"""Tokens of the largest multimodal item of Gemma 4 (vllm-project/vllm#42687)."""
_GRAPH_LAYER: Final = MIB
_GRAPH_LAYER_SIZE: Final = MIB * 2 // 10
_PARAMETER_BYTES: Final[dict[str, float]] = {"bf16": 2, "fp8": 1, "int8": 1, "int4": 0.5625, "nvfp4": 0.5625}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Bytes of weights on one GPU of a tensor parallel group."""

    divided: int
    """This GPU's part of what tensor parallelism divides: linear layers, experts, embeddings and per-layer-embedding
    tables (vLLM's parallel linears and `VocabParallelEmbedding`)."""
    replicated: int
    """Held whole by every GPU: image and audio encoders, rotary tables, per-layer gates, router."""
    repeated_kv_heads: int
    """K and V projections of heads that are fewer than the GPUs and therefore repeated."""

    @property
    def total(self) -> int:
        """All weights on this GPU."""
        return self.divided + self.replicated + self.repeated_kv_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Bytes on one GPU that are neither weights nor KV cache."""

    driver: int
    context: int
    communication: int
    peak: int
    """Largest of the three phases of a step: encoder, decoder layers, sampler. They do not overlap."""
    encoder_cache: int
    graphs: int
    margin: int

    @property
    def total(self) -> int:
        """All overhead."""
        return (
            self.driver + self.context + self.communication + self.peak + self.encoder_cache + self.graphs + self.margin
        )


def usable(accelerator: Accelerator, *, utilization: float) -> int:
    """Bytes per GPU that the engine may use: utilisation × reported memory."""
    return int(accelerator.memory_bytes * utilization)


def weights_parts(checkpoint: Checkpoint, *, gpus: int, model: Model | None = None, multimodal: bool = True) -> Weights:
    """Weights per GPU with their parts.

    With `model`, repeated KV heads count, and without `multimodal` the encoders do not: vLLM leaves them out under
    `--language-model-only`.
    """
    replicated = checkpoint.replicated_bytes
    whole = checkpoint.weights_bytes - replicated
    if model is not None and not multimodal and not checkpoint.text_only:
        replicated = max(replicated - model.architecture.encoder_bytes, 0)
    return Weights(
        divided=-(-whole // gpus),
        replicated=replicated,
        repeated_kv_heads=_repeated_kv_heads(model, checkpoint, gpus=gpus) if model is not None else 0,
    )


def weights_per_gpu(checkpoint: Checkpoint, *, gpus: int, model: Model | None = None, multimodal: bool = True) -> int:
    """Bytes of weights on each GPU of a group of `gpus`; see `weights_parts`."""
    return weights_parts(checkpoint, gpus=gpus, model=model, multimodal=multimodal).total


def overhead_parts(
    model: Model,
    accelerator: Accelerator,
    *,
    gpus: int,
    max_num_batched_tokens: int,
    max_num_seqs: int,
    multimodal: bool,
    graphs: bool = True,
) -> Overhead:
    """Overhead per GPU with its parts; `graphs` is off under `--enforce-eager` and on a CPU."""
    numbers = model.architecture
    cpu = accelerator.vendor == "cpu"
    encoders = multimodal and numbers.encoder_bytes > 0
    vision = _VISION_PEAK if numbers.encoder_bytes >= _LARGE_ENCODER else _SMALL_VISION_PEAK
    decoder = max_num_batched_tokens * _decoder_bytes_per_token(model, gpus=gpus)
    sampler = max_num_seqs * numbers.vocabulary * _LOGITS_BYTES
    budget = max(max_num_batched_tokens, _ENCODER_TOKENS)
    return Overhead(
        driver=0 if cpu else max(int(accelerator.memory_bytes * _DRIVER_SHARE), _DRIVER_LEAST),
        context=_CPU_PROCESS if cpu else _CUDA_CONTEXT,
        communication=_COMMUNICATION if gpus > 1 else 0,
        peak=max(decoder, sampler, vision if encoders else 0),
        encoder_cache=budget * numbers.hidden_size * 2 if multimodal else 0,
        graphs=0 if cpu or not graphs else _graph_bytes(model, max_num_seqs=max_num_seqs),
        margin=_MARGIN,
    )


def overhead(
    model: Model,
    checkpoint: Checkpoint,
    accelerator: Accelerator,
    *,
    gpus: int,
    max_num_batched_tokens: int,
    max_num_seqs: int,
    multimodal: bool,
) -> int:
    """Bytes of overhead on each GPU; a text-only checkpoint has no encoders whatever was asked."""
    return overhead_parts(
        model,
        accelerator,
        gpus=gpus,
        max_num_batched_tokens=max_num_batched_tokens,
        max_num_seqs=max_num_seqs,
        multimodal=multimodal and not checkpoint.text_only,
    ).total


def _repeated_kv_heads(model: Model, checkpoint: Checkpoint, *, gpus: int) -> int:
    """vLLM gives each GPU at least one KV head (`QKVParallelLinear`); the share above kv_heads ÷ GPUs is repetition."""
    width = _PARAMETER_BYTES[checkpoint.precision]
    numbers = model.architecture

    def repeated(layers: AttentionLayers) -> float:
        heads = max(1, layers.kv_heads // gpus) - layers.kv_heads / gpus
        return heads * layers.owning_kv * 2 * layers.head_size * numbers.hidden_size * width

    return int(repeated(numbers.sliding) + repeated(numbers.full))


def _decoder_bytes_per_token(model: Model, *, gpus: int) -> int:
    """bf16 activations that live at once in the widest layer: residual and norms, Q, K, V and output, feed-forward."""
    numbers = model.architecture
    residual = 6 * numbers.hidden_size
    heads = -(-numbers.query_heads // gpus)
    attention = max(
        layers.head_size * (2 * heads + 2 * max(1, layers.kv_heads // gpus))
        for layers in (numbers.sliding, numbers.full)
    )
    feed_forward = 3 * -(-numbers.intermediate_size // gpus)
    if numbers.experts_per_token:
        expert = -(-numbers.expert_intermediate_size // gpus)
        feed_forward += numbers.experts_per_token * (max(2 * expert, numbers.hidden_size) + expert)
    layers_total = numbers.sliding.total + numbers.full.total
    per_layer = 3 * layers_total * 256 if numbers.per_layer_embedding_bytes else 0
    return 2 * (residual + max(attention, feed_forward) + per_layer)


def _graph_bytes(model: Model, *, max_num_seqs: int) -> int:
    """CUDA graphs: vLLM captures 1, 2, 4 and every 8 up to twice `max_num_seqs`, at most 512 (every 16 from 256).

    Calibrated to the log of 31B with 28 captured graphs: 0.27 GiB (vllm-project/vllm#41789).
    """
    largest = min(2 * max_num_seqs, 512)
    sizes = sum(size <= largest for size in (1, 2, 4)) + min(largest, 255) // 8 + max(largest - 240, 0) // 16
    layers = model.architecture.sliding.total + model.architecture.full.total
    return layers * (_GRAPH_LAYER + sizes * _GRAPH_LAYER_SIZE)
