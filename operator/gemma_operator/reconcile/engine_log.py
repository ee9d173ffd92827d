"""The engine's own last words → what went wrong and what to do. Pure.

Patterns are matched against logs of vLLM, each with its source (tests/standin/engine_standin/data/engine-logs).
The first cause that matches wins, so those that name an input come before those that name a symptom of it.
"""

import re
from dataclasses import dataclass
from typing import Final

from gemma_operator.api.conditions import Reason


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an engine ended."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class _Pattern:
    reason: Reason
    expression: re.Pattern[str]
    message: str
    """Filled with the named groups of the expression."""


def _pattern(reason: Reason, expression: str, message: str) -> _Pattern:
    return _Pattern(reason, re.compile(expression), message)


_PATTERNS: Final = (
    _pattern(
        Reason.BAD_FLAGS,
        r"error: (?P<what>(unrecognized arguments|argument |ambiguous option|the following arguments).*)",
        "the engine refuses its flags: {what}; check spec.pod.extraArgs against the engine's version",
    ),
    _pattern(
        Reason.WEIGHTS_GATED,
        r"(Cannot access gated repo for url|You are trying to access a gated repo)[^\n]*?"
        r"(huggingface\.co/(?P<repository>[\w.-]+/[\w.-]+))?",
        "the checkpoint is gated{of_repository}: accept its licence on its page and name a token that may read it in "
        "spec.weights.tokenSecretRef",
    ),
    _pattern(
        Reason.WEIGHTS_GATED,
        r"(?P<code>401|403) Client Error",
        "the weights' host refuses access ({code}): name a token that may read the checkpoint in "
        "spec.weights.tokenSecretRef",
    ),
    _pattern(
        Reason.WEIGHTS_MISSING,
        r"(?P<what>\S+ is not a local folder and is not a valid model identifier|RepositoryNotFoundError|"
        r"404 Client Error|HFValidationError: [^\n]{1,120}|(?<!Local)EntryNotFoundError|RevisionNotFoundError|"
        r"Cannot find any model weights with \S+)",
        "the weights are not where the engine looks ({what}): check spec.weights.endpoint and the cache, or give a "
        "token if the repository is private",
    ),
    _pattern(
        Reason.WEIGHTS_MISSING,
        r"(?P<what>We couldn't connect to '[^']+'|LocalEntryNotFoundError|Failed to resolve '[^']+'|"
        r"Temporary failure in name resolution|Max retries exceeded with url)",
        "the weights cannot be downloaded ({what}): give the pods a way to the weights' host, a mirror in "
        "spec.weights.endpoint, or a filled spec.weights.cache",
    ),
    _pattern(
        Reason.DISK_FULL,
        r"(?P<what>No space left on device|Not enough free disk space)",
        "the disk is full ({what}): use spec.weights.cache, or raise spec.pod.resources.limits.ephemeral-storage",
    ),
    _pattern(
        Reason.DRIVER_TOO_OLD,
        r"The NVIDIA driver on your system is too old \(found version (?P<found>\d+)\)",
        "the node's NVIDIA driver is too old for the engine's CUDA (found {found}): update the driver, or set an image "
        "for CUDA 12.9 in the operator's configuration (engine.images)",
    ),
    _pattern(
        Reason.GPU_UNSUPPORTED,
        r"(?P<what>Bfloat16 is only supported on GPUs with compute capability of at least [\d.]+|"
        r"type fp8\w+ not supported in this architecture|no kernel image is available for execution on the device)",
        "this GPU cannot run what was planned for it ({what}): name other accelerators in spec.accelerators, and "
        "report it: the hardware table says that it can",
    ),
    _pattern(
        Reason.ENGINE_BROKEN,
        r"(?P<what>AmbiguousGlobalPerLayerAttributeError)",
        "the engine's image bundles a transformers release that its vLLM cannot read Gemma 4 with ({what}): use an "
        "image of vLLM 0.28.0 or newer",
    ),
    _pattern(
        Reason.ENGINE_BROKEN,
        r"Model architectures \['(?P<what>\w+)'\] are not supported",
        "this version of the engine does not know {what}: use a newer spec.engineVersion or image",
    ),
    _pattern(
        Reason.SHARED_MEMORY,
        r"(Insufficient space in /dev/shm[^:]*: (?P<what>[^.\n]+)|"
        r"Error while creating shared memory segment (?P<where>\S+))",
        "/dev/shm of the pod is too small ({what}{where}): report it: the operator mounts one of the size that the "
        "engine needs",
    ),
    _pattern(
        Reason.GPU_COMMUNICATION,
        r"(?P<what>NCCL error in[^\n]{0,160}|NCCL WARN[^\n]{0,160})",
        "the GPUs of the replica cannot talk to each other ({what}): check the node's driver, fabric manager and PCIe "
        "ACS, or plan for one GPU with a smaller precision",
    ),
    _pattern(
        Reason.DRIVER_TOO_OLD,
        r"(?P<what>CUDA driver version is insufficient|forward compatibility was attempted on non supported HW|"
        r"unsupported display driver / cuda driver combination)",
        "driver, GPU and the engine's CUDA do not go together ({what}): update the driver, or set another image in the "
        "operator's configuration (engine.images)",
    ),
    _pattern(
        Reason.OUT_OF_MEMORY_GPU,
        r"Free memory on device \S+ \((?P<free>[^)]+)\) on startup is less than desired GPU memory utilization",
        "something else holds memory of this GPU (free: {free}): find the process on the node; "
        "GPUs shared by time-slicing must be listed in spec.accelerators to be planned for",
    ),
    _pattern(
        Reason.OUT_OF_MEMORY_GPU,
        r"(CUDA|HIP) out of memory\.( Tried to allocate (?P<size>[\d.]+ [KMG]iB))?",
        "the GPU ran out of memory{of_size}: lower engine.gpuMemoryUtilization in the operator's configuration, "
        "spec.concurrency or spec.context, and report it: the plan expected it to fit",
    ),
    _pattern(
        Reason.KV_CACHE_TOO_SMALL,
        r"max seq len \((?P<wanted>\d+)\).{0,400}?estimated maximum model length is (?P<possible>\d+)",
        "the KV cache holds {possible} tokens, less than the context of {wanted}: lower spec.context, and report it: "
        "the plan expected it to fit",
    ),
    _pattern(
        Reason.KV_CACHE_TOO_SMALL,
        r"(No available memory for the cache blocks|larger than the available KV cache memory)",
        "no GPU memory is left for the KV cache: lower spec.context or ask for a larger accelerator, and report it: "
        "the plan expected it to fit",
    ),
    _pattern(
        Reason.NO_GPU_IN_POD,
        r"(Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver on your system|"
        r"libcuda\.so\.1: cannot open shared object file)",
        "the engine sees no GPU in its pod: check the device plugin and the container runtime of the node; a "
        "RuntimeClass such as `nvidia` goes to spec.pod.runtimeClassName",
    ),
    _pattern(
        Reason.BAD_FLAGS,
        r"(Value error, |TypeError: Error: |KeyError: '(?=invalid \w+ \w+ parser)|"
        r"ValueError: (?=Chunked MM input disabled)|(?=The supplied chat template string))(?P<what>[^\n]{1,200})",
        "the engine refuses its configuration: {what}; check spec.pod.extraArgs and spec.pod.env",
    ),
    _pattern(
        Reason.OUT_OF_MEMORY_HOST,
        r"WorkerProc initialization failed due to an exception in a background process",
        "a process of the engine ended without a word, most often killed by the kernel for exceeding the memory limit "
        "(host RAM, not GPU): raise spec.pod.resources.limits.memory",
    ),
)


_TAIL: Final = re.compile(r" (\[type=|\(chose from).*")
"""What pydantic and vLLM add for programmers: the input's type, and every name that would have been right."""


def explain_log(log: str) -> Cause | None:
    """The cause that the last lines of a log tell, or `None` when they tell none that is known."""
    for pattern in _PATTERNS:
        matches = list(pattern.expression.finditer(log))
        if matches:
            groups = {name: _TAIL.sub("", value or "").strip() for name, value in matches[-1].groupdict().items()}
            extras = {
                "of_repository": f" ({groups['repository']})" if groups.get("repository") else "",
                "of_size": f" (it tried to allocate {groups['size']})" if groups.get("size") else "",
            }
            return Cause(pattern.reason, pattern.message.format(**groups, **extras))
    return None
