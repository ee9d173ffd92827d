"""How many bytes of KV cache vLLM 0.32 reserves for one sequence on one GPU, to the byte.

Source: `vllm/v1/core/kv_cache_utils.py` (`unify_kv_cache_spec_page_size`, `_get_kv_cache_groups_uniform_page_size`,
`_max_memory_usage_bytes_from_groups`, `get_kv_cache_capacity`) and `vllm/v1/kv_cache_interface.py`
(`FullAttentionSpec`, `SlidingWindowSpec.max_admission_blocks_per_request`) with the hybrid KV cache manager and prefix
caching on. Layers are put into groups of equal size; a block of the pool serves one group, so that every block costs
`layers per group × page`, also for the padding of an incomplete group.
"""

from dataclasses import dataclass
from typing import Final, Literal

from gemma_operator.catalog.types import Accelerator, AttentionLayers, Model

KVDtype = Literal["auto", "bf16", "fp8"]

DEFAULT_BLOCK_SIZE: Final = 16
_BYTES: Final[dict[str, int]] = {"auto": 2, "bf16": 2, "fp8": 1}
_GROUP_FACTOR: Final = 1.5
"""Below this ratio of layer counts vLLM pads to the larger kind instead of splitting it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KVLayout:
    """The KV cache of one GPU as vLLM divides it."""

    groups_sliding: int
    groups_full: int
    layers_per_group: int
    block_tokens_sliding: int
    block_tokens_full: int
    page_bytes: int
    """Bytes of one block of one layer."""
    window: int
    in_flight: int
    """Tokens that may be scheduled and not settled: batches in flight × max_num_batched_tokens."""

    @property
    def bytes_per_block(self) -> int:
        """Bytes that one block of the pool costs on one GPU."""
        return self.layers_per_group * self.page_bytes

    def blocks(self, context: int) -> int:
        """Blocks that one sequence of `context` tokens may hold at once."""
        full = -(-context // self.block_tokens_full)
        inside = min(self.window - 1 + self.in_flight, context)
        sliding = -(-inside // self.block_tokens_sliding) + 1
        return self.groups_full * full + self.groups_sliding * sliding

    def bytes(self, context: int) -> int:
        """Bytes per GPU that vLLM reserves for one sequence of `context` tokens (its `max_model_len`)."""
        return self.blocks(context) * self.bytes_per_block


@dataclass(frozen=True, slots=True, kw_only=True)
class KVCapacity:
    """What vLLM reports about a KV cache when it starts."""

    blocks: int
    """`num_gpu_blocks`, the null block included."""
    blocks_per_sequence: int
    max_concurrency: float
    tokens: int
    """`kv_cache_size_tokens`: concurrency × max_model_len, no plain count of tokens."""
    sequences: int
    """Whole sequences of full length beside the null block; 0: vLLM refuses to start."""


def kv_layout(
    *,
    model: Model,
    tp: int,
    kv_dtype: str,
    max_num_batched_tokens: int,
    batches_in_flight: int,
    block_size: int = DEFAULT_BLOCK_SIZE,
) -> KVLayout:
    """The layout of a model's KV cache on each GPU of a tensor parallel group of `tp`.

    `kv_dtype` is `bf16` (or `auto`) or `fp8`. KV heads that do not divide by `tp` are repeated on every GPU.
    """
    numbers = model.architecture
    element = _BYTES[kv_dtype]
    page_sliding = _page(numbers.sliding, tp=tp, element=element, block_size=block_size)
    page_full = _page(numbers.full, tp=tp, element=element, block_size=block_size)
    page = max(page_sliding, page_full)
    few, many = sorted((numbers.sliding.owning_kv, numbers.full.owning_kv))
    group = many if many < few * _GROUP_FACTOR else few
    return KVLayout(
        groups_sliding=-(-numbers.sliding.owning_kv // group),
        groups_full=-(-numbers.full.owning_kv // group),
        layers_per_group=group,
        block_tokens_sliding=_block_tokens(page_sliding, page, block_size),
        block_tokens_full=_block_tokens(page_full, page, block_size),
        page_bytes=page,
        window=numbers.window,
        in_flight=batches_in_flight * max_num_batched_tokens,
    )


def kv_bytes_per_sequence(
    *,
    model: Model,
    tp: int,
    kv_dtype: str,
    max_num_batched_tokens: int,
    batches_in_flight: int,
    context: int,
    block_size: int = DEFAULT_BLOCK_SIZE,
) -> int:
    """Bytes of KV cache per GPU that vLLM reserves for one sequence of `context` tokens."""
    layout = kv_layout(
        model=model,
        tp=tp,
        kv_dtype=kv_dtype,
        max_num_batched_tokens=max_num_batched_tokens,
        batches_in_flight=batches_in_flight,
        block_size=block_size,
    )
    return layout.bytes(context)


def kv_capacity(layout: KVLayout, *, available: int, context: int) -> KVCapacity:
    """What vLLM reports for `available` bytes per GPU and a `max_model_len` of `context`."""
    blocks = max(available, 0) // layout.bytes_per_block
    per_sequence = layout.blocks(context)
    concurrency = blocks / per_sequence
    return KVCapacity(
        blocks=blocks,
        blocks_per_sequence=per_sequence,
        max_concurrency=concurrency,
        tokens=int(concurrency * context),
        sequences=max(blocks - 1, 0) // per_sequence,
    )


def max_context(layout: KVLayout, *, available: int, limit: int) -> int:
    """The longest `max_model_len` up to `limit` with which vLLM starts in `available` bytes per GPU; 0: none.

    One block, the null block, is held back as vLLM does.
    """
    usable = available - layout.bytes_per_block
    if usable < layout.bytes(1):
        return 0
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        if layout.bytes(middle) <= usable:
            low = middle
        else:
            high = middle - 1
    return low


def block_size(accelerator: Accelerator, *, kv_dtype: str) -> int:
    """Tokens per block that vLLM chooses for Gemma 4 on this accelerator.

    16; 128 on a CPU; 64 with fp8 KV on compute capability 9.0, where FlashAttention 4 takes pages of 64 tokens; on 10.x
    FlashAttention 4 may want 128, which is the larger need and therefore assumed.
    """
    if accelerator.vendor == "cpu":
        return 128
    major = accelerator.compute_capability[0] if accelerator.compute_capability else 0
    if major == 9 and kv_dtype == "fp8":
        return 64
    return 128 if major in (10, 11) else DEFAULT_BLOCK_SIZE


def _page(layers: AttentionLayers, *, tp: int, element: int, block_size: int) -> int:
    heads = max(1, layers.kv_heads // tp)
    return block_size * heads * 2 * layers.head_size * element


def _block_tokens(own: int, page: int, block_size: int) -> int:
    """Smaller pages grow to the common size by holding more tokens; those that do not divide it are padded."""
    return block_size * (page // own) if page % own == 0 else block_size
