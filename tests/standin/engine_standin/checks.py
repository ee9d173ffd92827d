"""What vLLM checks before it serves, in its own words. Each raises `StartFailure`."""

import argparse
import json
import os
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from engine_standin.errors import StartFailure
from engine_standin.profiles import ModelProfile

_GIB = 1 << 30
_DOCS = "See https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more details."
_NOT_DONE = ("grpc", "headless", "uds", "ssl_keyfile", "ssl_certfile", "lora_modules", "tokens_only")
_SHM_BYTES = 160 << 20
# Where the images vllm/vllm-openai and vllm/vllm-openai-rocm keep the examples of the source tree.
_EXAMPLES = frozenset({"/vllm-workspace/examples", "/app/vllm/examples"})
_SHIPPED = frozenset(
    {
        "tool_chat_template_gemma4.jinja",
        "tool_chat_template_gemma3_pythonic.jinja",
        "tool_chat_template_hermes.jinja",
        "template_chatml.jinja",
    }
)


def check_flags(args: argparse.Namespace) -> None:
    """Refuse combinations of flags that never work, and flags that the stand-in does not act on."""
    if args.enable_auto_tool_choice and not args.tool_call_parser:
        raise StartFailure("Error: --enable-auto-tool-choice requires --tool-call-parser", kind="TypeError")
    if args.enable_log_outputs and not args.enable_log_requests:
        raise StartFailure("Error: --enable-log-outputs requires --enable-log-requests", kind="TypeError")
    if args.sse_keep_alive_interval < 0:
        raise StartFailure(
            "Error: --sse-keep-alive-interval must be a non-negative integer (0 disables keep-alive comments)."
        )
    for flag, name, known in (
        ("tool call", args.tool_call_parser if args.enable_auto_tool_choice else None, known_parsers("tool")),
        ("reasoning", args.reasoning_parser, known_parsers("reasoning")),
    ):
        if name and name not in known:
            message = f"invalid {flag} parser: {name} (chose from {{ {','.join(known)} }})"
            raise StartFailure(repr(message), kind="KeyError")
    for dest in _NOT_DONE:
        if getattr(args, dest):
            raise StartFailure(
                f"--{dest.replace('_', '-')} is known to vLLM but not done by the engine stand-in",
                kind="NotImplementedError",
            )


def known_parsers(kind: str) -> list[str]:
    """Return the names of vLLM's tool or reasoning parsers, sorted; the stand-in acts like Gemma's for all."""
    text = files("engine_standin").joinpath("data/parsers.json").read_text(encoding="utf-8")
    names: list[str] = json.loads(text)[kind]
    return names


def check_folders(args: argparse.Namespace, *, env: Mapping[str, str], shm: Path = Path("/dev/shm")) -> None:
    """Refuse a home that cannot be written, and for tensor parallelism a /dev/shm that is too small."""
    cache = Path(env.get("VLLM_CACHE_ROOT") or Path(env.get("HOME") or "/") / ".cache" / "vllm")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        probe = cache / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        text = f"[Errno {error.errno}] {error.strerror}: {str(cache.parent)!r}"
        raise StartFailure(text, kind="OSError", in_engine=True) from error
    free = shutil.disk_usage(shm).free if shm.is_dir() else 0
    if args.tensor_parallel_size > 1 and free < _SHM_BYTES:
        raise StartFailure(
            f"Insufficient space in /dev/shm for shared-memory allocation: {_SHM_BYTES >> 20} MiB required, "
            f"{free >> 20} MiB free. Increase /dev/shm (e.g. --shm-size or --ipc=host).",
            kind="RuntimeError",
            in_engine=True,
        )


def check_template(template: str | None) -> None:
    """Refuse a chat template that looks like a path and is not there; what vLLM's images ship is there."""
    if template is None or any(char in template for char in "{}\n") or Path(template).exists():
        return
    folder, _, name = template.rpartition("/")
    if folder in _EXAMPLES and name in _SHIPPED:
        return
    raise StartFailure(
        f"The supplied chat template string ({template}) appears path-like, but doesn't exist! "
        f"Tried: {template} and /usr/local/lib/python3.12/dist-packages/vllm/transformers_utils/"
        f"chat_templates/{Path(template).name} (parameter=chat_template)",
        kind="vllm.exceptions.VLLMValidationError",
    )


def check_context(length: int, profile: ModelProfile, *, env: Mapping[str, str]) -> None:
    """Refuse a context longer than the model was made for."""
    if length > profile.context and env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") != "1":
        raise _config_error(
            "ModelConfig",
            f"User-specified max_model_len ({length}) is greater than the derived max_model_len "
            f"(max_position_embeddings={profile.context} or model_max_length=None in model's config.json). "
            "To allow overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1. "
            "VLLM_ALLOW_LONG_MAX_MODEL_LEN must be used with extreme caution. If the model uses relative "
            "position encoding (RoPE), positions exceeding derived_max_model_len lead to nan. If the model "
            "uses absolute position encoding, positions exceeding derived_max_model_len will cause a CUDA "
            "array out-of-bounds error.",
        )


def _config_error(owner: str, message: str) -> StartFailure:
    return StartFailure(
        f"1 validation error for {owner}\n  Value error, {message} [type=value_error, "
        "input_value=ArgsKwargs(()), input_type=ArgsKwargs]\n"
        "    For further information visit https://errors.pydantic.dev/2.12/v/value_error",
        kind="pydantic_core._pydantic_core.ValidationError",
    )


def check_parallel(args: argparse.Namespace, profile: ModelProfile, *, gpus: int | None) -> None:
    """Refuse a tensor parallel size that does not divide the heads, or is larger than the GPUs seen."""
    size = args.tensor_parallel_size
    if profile.heads % size:
        raise StartFailure(
            f"Total number of attention heads ({profile.heads}) must be divisible by tensor parallel size ({size})."
        )
    if gpus is not None and gpus < size:
        raise _config_error(
            "ParallelConfig",
            f"World size ({size}) is larger than the number of available GPUs ({gpus}) in this node. If this "
            "is intentional and you are using:\n- ray, set '--distributed-executor-backend ray'.\n"
            "- multiprocessing, set '--nnodes' appropriately.",
        )


def check_batch(args: argparse.Namespace, *, seqs: int, batched: int, context: int, media: Mapping[str, int]) -> None:
    """Refuse a batch smaller than the sequences, the context (without chunked prefill) or one media item."""
    if args.enable_chunked_prefill is False and batched < context:
        raise _config_error(
            "SchedulerConfig",
            f"max_num_batched_tokens ({batched}) is smaller than max_model_len ({context}). This effectively "
            "limits the maximum sequence length to max_num_batched_tokens and makes vLLM reject longer "
            "sequences. Please increase max_num_batched_tokens or decrease max_model_len.",
        )
    if batched < seqs:
        raise _config_error(
            "SchedulerConfig",
            f"max_num_batched_tokens ({batched}) must be greater than or equal to max_num_seqs ({seqs}).",
        )
    largest = max(media.values(), default=0)
    if largest > batched:
        raise StartFailure(
            f"Chunked MM input disabled but max_tokens_per_mm_item ({largest}) is larger than "
            f"max_num_batched_tokens ({batched}). Please increase max_num_batched_tokens.",
            in_engine=True,
        )


def check_cache(tokens: int, *, context: int, bytes_per_token: int) -> None:
    """Refuse a context that the KV cache cannot hold once."""
    if tokens <= 0:
        raise StartFailure(
            "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
            "initializing the engine (this flag also controls CPU memory reservation on the CPU backend, "
            f"despite its name). {_DOCS}",
            in_engine=True,
        )
    if context > tokens:
        needed = context * bytes_per_token / _GIB
        available = tokens * bytes_per_token / _GIB
        raise StartFailure(
            f"To serve at least one request with the model's max seq len ({context}), ({needed:.2f} GiB KV "
            f"cache is needed, which is larger than the available KV cache memory ({available:.2f} GiB). "
            f"Based on the available memory, the estimated maximum model length is {tokens}. "
            "Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU backend) or "
            f"decreasing `max_model_len` when initializing the engine. {_DOCS}",
            in_engine=True,
        )
