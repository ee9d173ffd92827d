"""The speed of a replica as the plan estimates it. Estimates rank and size; they are no measurement."""

from typing import Final

from gemma_operator.catalog.types import Catalog
from gemma_operator.planner.speed import decode_tokens_per_second
from gemma_operator.planner.types import Pool
from gemma_operator.simulator.types import Profile

_FLOPS_PER_BYTE: Final = 250.0
"""Dense bf16 arithmetic per byte of memory bandwidth of data centre GPUs: A100 153, H100 295, L4 403, L40S 419."""
_FLOPS_PER_BYTE_CPU: Final = 20.0
_USE: Final = 0.45
"""Share of the arithmetic that prefill reaches."""
_STREAMED: Final = 0.7
"""Share of the bandwidth that the decode estimate assumes."""
_BYTES_PER_WEIGHT: Final = {"bf16": 2.0, "fp8": 2.0, "int8": 2.0, "int4": 0.5, "nvfp4": 1.0}
"""Bytes per weight, times how much faster than bf16 the hardware multiplies in that precision."""


def profile_of(pool: Pool, *, catalog: Catalog, concurrency: int) -> Profile:
    """Steps of the pool: weights alone, what each sequence adds, and what a prompt token adds.

    The plan's decode speed at `concurrency` and the speed with weights alone give a line over the batch.
    """
    accelerator = catalog.accelerators[pool.accelerator]
    base = 1 / decode_tokens_per_second(
        catalog.models[pool.model],
        next(each for each in catalog.checkpoints if each.repository == pool.checkpoint),
        accelerator,
        gpus=max(pool.gpus_per_replica, 1),
        batch=1,
        kv_read=0,
    )
    step = 1 / pool.decode_tokens_per_second
    intensity = _FLOPS_PER_BYTE_CPU if pool.resource is None else _FLOPS_PER_BYTE
    per_weight = _BYTES_PER_WEIGHT.get(pool.precision, 2.0)
    return Profile(
        step_base=base,
        step_per_sequence=max(step - base, 0.0) / max(concurrency, 1),
        step_per_prefill_token=base * _STREAMED * 2 / (per_weight * intensity * _USE),
        max_num_seqs=pool.max_num_seqs,
        chunk=pool.max_num_batched_tokens,
        kv_tokens=pool.kv_cache_tokens,
    )
