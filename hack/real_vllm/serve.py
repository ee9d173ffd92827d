"""Command line and environment with which the real engine serves the tiny model on this machine."""

import os
from collections.abc import Mapping, Sequence

from real_vllm import versions

ENVIRONMENT = {
    # Without it the engine pins its worker to one core, the same one for every process.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
}
ONLY_HERE = ("--load-format=dummy", "--enforce-eager")
"""Dummy weights, and no torch.compile: its C++ build takes minutes and needs a compiler where it runs."""

KV_FLAGS = ("--kv-cache-memory-bytes", "--gpu-memory-utilization")
KV_DEFAULT = "--kv-cache-memory-bytes=536870912"
"""Half a GiB when no flag says how much: the engine's own default is nearly all memory of the machine."""


def command(arguments: Sequence[str], *, model: str | None = None) -> list[str]:
    """Return `vllm serve` for the tiny model with the engine arguments a pod would get."""
    vllm = versions.VENV / "bin" / "vllm"
    memory = () if any(flag.startswith(KV_FLAGS) for flag in arguments) else (KV_DEFAULT,)
    return [str(vllm), "serve", model or str(versions.MODEL), *ONLY_HERE, *memory, *arguments]


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the process environment: `base` (default: this process's own) plus what a CPU run needs."""
    return {**(os.environ if base is None else base), **ENVIRONMENT}
