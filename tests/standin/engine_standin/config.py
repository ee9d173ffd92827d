"""The configuration of the engine, made of flags and settings; what cannot work is refused as vLLM refuses it."""

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine_standin import VERSION, checks
from engine_standin.errors import StartFailure
from engine_standin.profiles import ModelProfile, profile_of
from engine_standin.settings import Settings

_UNSPECIFIED = 999
_DEFAULT_BATCHED_TOKENS = 2048
_DEFAULT_SEQS = 256


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything that the running server needs to know; tokens unless a name says otherwise."""

    model: str
    served_names: tuple[str, ...]
    profile: ModelProfile
    host: str
    port: int
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    block_size: int
    kv_tokens: int
    prefix_caching: bool
    shutdown_timeout: float
    api_keys: tuple[str, ...]
    tool_parser: str | None
    reasoning_parser: str | None
    media_limits: Mapping[str, int]
    template_defaults: Mapping[str, Any]
    args: argparse.Namespace
    settings: Settings
    fingerprint: str | None

    @property
    def name(self) -> str:
        """Return the name under which answers and metrics speak of the model."""
        return self.served_names[0]


def _limit(value: Any) -> int:
    return int(value.get("count", _UNSPECIFIED)) if isinstance(value, dict) else int(value)


def media_limits(args: argparse.Namespace, profile: ModelProfile) -> dict[str, int]:
    """Return how many items of each kind one prompt may hold; the image size override is taken into account."""
    if args.language_model_only:
        return {}
    given = args.limit_mm_per_prompt or {}
    limits = {kind: _limit(given.get(kind, _UNSPECIFIED)) for kind in profile.media}
    return {kind: count for kind, count in limits.items() if count > 0}


def item_tokens(args: argparse.Namespace, profile: ModelProfile) -> dict[str, int]:
    """Return the tokens of one item of each kind."""
    tokens = dict(profile.media)
    override = (args.mm_processor_kwargs or {}).get("max_soft_tokens")
    if override and "image" in tokens:
        tokens["image"] = int(override)
    return tokens


def kv_tokens(args: argparse.Namespace, profile: ModelProfile, settings: Settings, *, wanted: int) -> int:
    """Return the size of the KV cache: STANDIN_KV_TOKENS, else the flags that name it, else just enough.

    `wanted` is the number of tokens that every allowed request at full length needs.
    """
    if settings.kv_tokens is not None:
        return settings.kv_tokens
    if args.num_gpu_blocks_override:
        return int(args.num_gpu_blocks_override) * int(args.block_size or 16)
    if args.kv_cache_memory_bytes:
        return int(args.kv_cache_memory_bytes) // profile.kv_bytes_per_token
    return wanted


def _fingerprint(args: argparse.Namespace) -> str | None:
    if args.fingerprint_mode == "none":
        return None
    if args.fingerprint_mode == "custom":
        return str(args.fingerprint_value)
    text = json.dumps({key: str(value) for key, value in sorted(vars(args).items())})
    parts = [f"vllm-{VERSION}"]
    if args.fingerprint_mode == "full" and args.tensor_parallel_size > 1:
        parts.append(f"tp{args.tensor_parallel_size}")
    return "-".join([*parts, hashlib.sha256(text.encode()).hexdigest()[:8]])


def _batch(args: argparse.Namespace, *, context: int, media: Mapping[str, int]) -> tuple[int, int]:
    """Return max_num_seqs and max_num_batched_tokens, with vLLM's defaults for GPUs below 70 GiB."""
    seqs = args.max_num_seqs or _DEFAULT_SEQS
    batched = args.max_num_batched_tokens
    if batched is None:
        batched = max([_DEFAULT_BATCHED_TOKENS, *media.values()])
        batched = min(batched, seqs * context)
    if args.max_num_seqs is None:
        seqs = min(seqs, batched)
    return seqs, batched


def build_config(args: argparse.Namespace, settings: Settings, *, env: Mapping[str, str]) -> EngineConfig:
    """Return the configuration; raises `StartFailure` where vLLM would not start."""
    checks.check_flags(args)
    model = args.model_tag or args.model
    checks.check_template(args.chat_template)
    profile = profile_of(model)
    limits = media_limits(args, profile)
    tokens = {kind: count for kind, count in item_tokens(args, profile).items() if kind in limits}
    context = profile.context if args.max_model_len in (None, -1) else int(args.max_model_len)
    checks.check_context(context, profile, env=env)
    checks.check_parallel(args, profile, gpus=settings.gpus)
    seqs, batched = _batch(args, context=context, media=tokens)
    checks.check_batch(args, seqs=seqs, batched=batched, context=context, media=tokens)
    cache = kv_tokens(args, profile, settings, wanted=seqs * context)
    if args.max_model_len == -1:
        context = min(context, cache)
        if context <= 0:
            raise StartFailure(
                "Cannot auto-fit max_model_len: not enough GPU memory available to serve even a single "
                "token. Try increasing `gpu_memory_utilization`.",
                in_engine=True,
            )
    checks.check_folders(args, env=env)
    checks.check_cache(cache, context=context, bytes_per_token=profile.kv_bytes_per_token)
    keys = [key for key in (args.api_key or [env.get("VLLM_API_KEY", "")]) if key]
    return EngineConfig(
        model=model,
        served_names=tuple(args.served_model_name or [model]),
        profile=profile,
        host=args.host or "",
        port=args.port,
        max_model_len=context,
        max_num_seqs=seqs,
        max_num_batched_tokens=batched,
        block_size=args.block_size or 16,
        kv_tokens=cache,
        prefix_caching=args.enable_prefix_caching is not False,
        shutdown_timeout=float(args.shutdown_timeout),
        api_keys=tuple(keys),
        tool_parser=args.tool_call_parser if args.enable_auto_tool_choice else None,
        reasoning_parser=args.reasoning_parser or None,
        media_limits=limits,
        template_defaults=args.default_chat_template_kwargs or {},
        args=args,
        settings=settings,
        fingerprint=_fingerprint(args),
    )
