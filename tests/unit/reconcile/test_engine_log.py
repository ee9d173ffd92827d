"""Recorded logs of engines that failed are told apart, each with what to do."""

from pathlib import Path

import pytest
from gemma_operator.api.conditions import Reason
from gemma_operator.reconcile.engine_log import explain_log

LOGS = Path(__file__).parents[2] / "standin" / "engine_standin" / "data" / "engine-logs"
EXPECTED = {
    "architecture-unknown": (Reason.ENGINE_BROKEN, "Gemma9ForCausalLM"),
    "auto-tool-without-parser": (Reason.BAD_FLAGS, "--enable-auto-tool-choice requires --tool-call-parser"),
    "bad-flag-choice": (Reason.BAD_FLAGS, "--kv-cache-dtype: invalid choice: 'fp9'"),
    "bad-flag-value": (Reason.BAD_FLAGS, "--max-num-seqs: invalid int value: 'many'"),
    "batched-tokens-below-context": (Reason.BAD_FLAGS, "max_num_batched_tokens (1024) is smaller"),
    "bfloat16-not-supported": (Reason.GPU_UNSUPPORTED, "at least 8.0"),
    "chat-template-missing": (Reason.BAD_FLAGS, "none.jinja"),
    "context-above-model": (Reason.BAD_FLAGS, "max_model_len (99999) is greater"),
    "cuda-out-of-memory": (Reason.OUT_OF_MEMORY_GPU, "84.00 MiB"),
    "disk-too-small": (Reason.DISK_FULL, "spec.weights.cache"),
    "driver-mismatch": (Reason.DRIVER_TOO_OLD, "unsupported display driver"),
    "driver-too-old": (Reason.DRIVER_TOO_OLD, "found 11040"),
    "fp8-not-supported": (Reason.GPU_UNSUPPORTED, "fp8e4nv"),
    "gated-forbidden": (Reason.WEIGHTS_GATED, "accept its licence"),
    "gated-no-token": (Reason.WEIGHTS_GATED, "spec.weights.tokenSecretRef"),
    "gpu-memory-in-use": (Reason.OUT_OF_MEMORY_GPU, "free: 19.77/22.05 GiB"),
    "gpu-out-of-memory-linear": (Reason.OUT_OF_MEMORY_GPU, "896.00 MiB"),
    "heads-not-divisible": (Reason.BAD_FLAGS, "must be divisible by tensor parallel size"),
    "hub-unreachable": (Reason.WEIGHTS_MISSING, "cannot be downloaded"),
    "image-larger-than-batch": (Reason.BAD_FLAGS, "max_tokens_per_mm_item (2496)"),
    "kv-too-small": (Reason.KV_CACHE_TOO_SMALL, "512 tokens, less than the context of 8192"),
    "model-folder-missing": (Reason.WEIGHTS_MISSING, "/models/none"),
    "model-not-cached-offline": (Reason.WEIGHTS_MISSING, "cannot be downloaded"),
    "more-ranks-than-gpus": (Reason.BAD_FLAGS, "number of available GPUs (1)"),
    "nccl-shared-memory": (Reason.SHARED_MEMORY, "/dev/shm"),
    "nccl-system-error": (Reason.GPU_COMMUNICATION, "NCCL error"),
    "no-cuda-gpus": (Reason.NO_GPU_IN_POD, "device plugin"),
    "no-kernel-image": (Reason.GPU_UNSUPPORTED, "no kernel image"),
    "repository-not-found": (Reason.WEIGHTS_MISSING, "google/gemma-4-99B-it"),
    "shm-too-small": (Reason.SHARED_MEMORY, "160 MiB required, 64 MiB free"),
    "transformers-too-new": (Reason.ENGINE_BROKEN, "0.28.0"),
    "unknown-flag": (Reason.BAD_FLAGS, "--no-such-flag=1"),
    "unknown-tool-parser": (Reason.BAD_FLAGS, "invalid tool call parser: gemma9"),
    "worker-killed": (Reason.OUT_OF_MEMORY_HOST, "limits.memory"),
}


@pytest.mark.parametrize("log", sorted(path.stem for path in LOGS.glob("*.log")))
def test_a_recorded_failure_is_named(log: str) -> None:
    text = (LOGS / f"{log}.log").read_text()
    assert text.startswith("# source: "), "a record without its source proves nothing"
    cause = explain_log(text)
    assert cause is not None
    reason, fragment = EXPECTED[log]
    assert cause.reason == reason, cause.message
    assert fragment in cause.message
    assert len(cause.message) < 600, "a condition is no log"


def test_every_expectation_has_its_record() -> None:
    assert set(EXPECTED) == {path.stem for path in LOGS.glob("*.log")}


@pytest.mark.parametrize("log", ["", "INFO 11-25 Started server process [1]\nINFO: 10.0.0.1 GET /health 200 OK\n"])
def test_a_log_without_a_failure_tells_none(log: str) -> None:
    assert explain_log(log) is None
