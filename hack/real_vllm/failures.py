"""Start-ups that fail, each with a cause that a CPU can show: what to run, and what to prepare for it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from real_vllm.tiny_model import write_tiny_model

MODEL_PLACE = "/models/tiny-gemma4"
"""Stands for the tiny model's folder in recorded logs."""


@dataclass(frozen=True, slots=True)
class Case:
    """One failing start. `what` says in words how it was provoked; it goes into the first line of the log."""

    name: str
    what: str
    arguments: tuple[str, ...] = ()
    model: str = MODEL_PLACE
    environment: Mapping[str, str] = field(default_factory=dict)
    dummy_weights: bool = True
    mount: str = ""
    """Shell command run in a private mount namespace before the engine starts."""

    hub: int = 0
    """HTTP status with which a pretended Hugging Face hub answers; 0 for no hub."""

    kill: str = ""
    """Name of the engine's process that is killed (SIGKILL) once it shows up, as the kernel does for memory."""


CASES = (
    Case("unknown-flag", "a flag that the engine does not know", ("--no-such-flag=1",)),
    Case("bad-flag-value", "a word where a number is wanted", ("--max-num-seqs=many",)),
    Case("bad-flag-choice", "a KV cache type that does not exist", ("--kv-cache-dtype=fp9",)),
    Case(
        "unknown-tool-parser",
        "a tool parser that does not exist",
        ("--tool-call-parser=gemma9", "--enable-auto-tool-choice"),
    ),
    Case("auto-tool-without-parser", "tool calls without a parser", ("--enable-auto-tool-choice",)),
    Case(
        "chat-template-missing",
        "a chat template file that is not in the image",
        ("--chat-template=/vllm-workspace/examples/none.jinja",),
    ),
    Case("context-above-model", "more context than the model's configuration allows", ("--max-model-len=99999",)),
    Case("heads-not-divisible", "two query heads on three GPUs", ("--tensor-parallel-size=3",)),
    Case(
        "kv-too-small",
        "a KV cache smaller than one sequence",
        ("--max-model-len=8192", "--kv-cache-memory-bytes=1000000"),
    ),
    Case(
        "no-memory-for-kv",
        "a share of memory that the weights alone exceed",
        ("--gpu-memory-utilization=0.001",),
    ),
    Case(
        "batched-tokens-below-context",
        "fewer batched tokens than context, without chunked prefill",
        ("--max-model-len=8192", "--max-num-batched-tokens=1024", "--no-enable-chunked-prefill"),
    ),
    Case("model-folder-missing", "a model folder that does not exist", model="/models/none"),
    Case(
        "model-not-cached-offline",
        "a repository that is not in the cache, with HF_HUB_OFFLINE=1",
        model="google/gemma-4-31B-it",
    ),
    Case(
        "hub-unreachable",
        "a hub that refuses connections",
        model="google/gemma-4-31B-it",
        environment={"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"},
    ),
    Case(
        "gated-no-token",
        "a hub that answers 401 GatedRepo (a pretended hub)",
        model="google/gemma-4-31B-it",
        environment={"HF_HUB_OFFLINE": "0"},
        hub=401,
    ),
    Case(
        "gated-forbidden",
        "a hub that answers 403 GatedRepo (a pretended hub)",
        model="google/gemma-4-31B-it",
        environment={"HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_example"},
        hub=403,
    ),
    Case(
        "repository-not-found",
        "a hub that answers 404 RepoNotFound (a pretended hub)",
        model="google/gemma-4-99B-it",
        environment={"HF_HUB_OFFLINE": "0"},
        hub=404,
    ),
    Case("weights-missing", "a model folder without weight files", dummy_weights=False),
    Case("weights-truncated", "a safetensors file that is cut off", model="/models/truncated", dummy_weights=False),
    Case(
        "architecture-unknown", "an architecture that this version does not know", model="/models/unknown-architecture"
    ),
    Case(
        "shm-too-small",
        "/dev/shm of 64 MiB, the default of container runtimes",
        mount="mount -t tmpfs -o size=64m shm /dev/shm",
    ),
    Case(
        "home-read-only",
        "HOME on a read-only file system",
        environment={"HOME": "/mnt"},
        mount="mount -t tmpfs -o ro none /mnt",
    ),
    Case(
        "worker-killed",
        "the worker killed while it starts, as the kernel does when the container is out of memory",
        kill="VLLM::Worker",
    ),
    Case(
        "engine-killed",
        "the engine process killed while it starts, as the kernel does when the container is out of memory",
        kill="VLLM::EngineCore",
    ),
)


def prepare(root: Path) -> dict[str, str]:
    """Write the model folders that the cases name under `root`; return recorded name to real path."""
    shutil.rmtree(root, ignore_errors=True)
    places = {MODEL_PLACE: root / "tiny-gemma4", "/models/none": root / "none"}
    places["/models/truncated"] = root / "truncated"
    places["/models/unknown-architecture"] = root / "unknown-architecture"
    for name in (MODEL_PLACE, "/models/truncated", "/models/unknown-architecture"):
        write_tiny_model(places[name])
    # A header length of 4 KiB with nothing behind it: what a broken download looks like.
    (places["/models/truncated"] / "model.safetensors").write_bytes((4096).to_bytes(8, "little") + b"{")
    config = places["/models/unknown-architecture"] / "config.json"
    changed = {**json.loads(config.read_text()), "architectures": ["Gemma9ForCausalLM"]}
    config.write_text(json.dumps(changed))
    return {name: str(path) for name, path in places.items()}
