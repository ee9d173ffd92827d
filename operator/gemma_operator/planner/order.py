"""Which of two candidates that fit is better, and in which order deployments are planned.

Supply first (free GPUs, then nodes to be added, then GPUs that others hold); then the model's quality; then whether
the estimated speed reaches the floor; then the user's order of accelerators; then price, or GPUs where a price is
unknown; then precision. Names break ties: same input, same plan.
"""

from collections.abc import Mapping
from math import inf
from typing import Any, Final, NamedTuple

from gemma_operator.planner.types import Pool

PRECISIONS: Final = ("bf16", "fp8", "int8", "nvfp4", "int4")
"""From the most to the least exact."""


class Rank(NamedTuple):
    """Order of candidates: the smaller is better, the first difference decides."""

    supply: int
    quality: int
    too_slow: bool
    preference: int
    cost: float
    gpus_at_unknown_price: int
    precision: int
    kv_cache: bool
    """Quantised KV cache."""
    gpus: int
    batched_tokens: int
    names: tuple[str, ...]


def rank(pool: Pool, *, quality: int, preference: int, floor: float) -> Rank:
    """The rank of a candidate that fits; `floor` in tokens per second."""
    unknown = pool.cost_per_hour is None
    return Rank(
        supply=int(pool.supply),
        quality=-quality,
        too_slow=pool.decode_tokens_per_second < floor,
        preference=preference,
        cost=inf if pool.cost_per_hour is None else round(pool.cost_per_hour, 6),
        gpus_at_unknown_price=pool.gpus_per_replica if unknown else 0,
        precision=PRECISIONS.index(pool.precision),
        kv_cache=pool.kv_cache_dtype != "auto",
        gpus=pool.gpus_per_replica,
        batched_tokens=-pool.max_num_batched_tokens,
        names=(pool.accelerator, pool.resource or "", pool.checkpoint),
    )


def planning_order(obj: Mapping[str, Any]) -> tuple[int, str, str, str]:
    """Sort key of GemmaDeployment objects: priority, then age (an object not yet created is youngest), then name."""
    metadata = obj.get("metadata") or {}
    return (
        -int((obj.get("spec") or {}).get("priority") or 0),
        metadata.get("creationTimestamp") or "9999",
        metadata.get("namespace") or "",
        metadata.get("name") or "",
    )
