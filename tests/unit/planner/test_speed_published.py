"""Estimated decode speed against published runs without speculative decoding: between 0.7 and 1.45 times the measured.

Prompts of about a thousand tokens unless the run says otherwise.
"""

import pytest
from gemma_operator.catalog.load import load_catalog
from gemma_operator.planner.speed import decode_tokens_per_second

CATALOG = load_catalog()
BF16_31B, FP8_31B = "google/gemma-4-31B-it", "RedHatAI/gemma-4-31B-it-FP8-dynamic"
INT4_31B, AWQ_31B = "google/gemma-4-31B-it-qat-w4a16-ct", "cyankiwi/gemma-4-31B-it-AWQ-4bit"
AWQ_26B = "cyankiwi/gemma-4-26B-A4B-it-AWQ-4bit"


def kv_read(model: str, tokens: int) -> int:
    """bf16 KV bytes that one step of one request reads: global layers whole, sliding layers inside the window."""
    numbers = CATALOG.models[model].architecture  # type: ignore[index]
    return sum(
        4 * layers.total * layers.kv_heads * layers.head_size * seen
        for layers, seen in ((numbers.full, tokens), (numbers.sliding, min(tokens, numbers.window)))
    )


@pytest.mark.parametrize(
    ("repository", "accelerator", "gpus", "batch", "tokens", "measured"),
    [
        # card of LilaRest/gemma-4-31B-it-NVFP4-turbo: one RTX PRO 6000, 1K in, 200 out, single request
        (BF16_31B, "rtx-pro-6000-workstation", 1, 1, 1200, 24),
        ("nvidia/Gemma-4-31B-IT-NVFP4", "rtx-pro-6000-workstation", 1, 1, 1200, 39),
        ("LilaRest/gemma-4-31B-it-NVFP4-turbo", "rtx-pro-6000-workstation", 1, 1, 1200, 51),
        (AWQ_31B, "rtx-pro-6000-workstation", 1, 1, 1200, 64),
        # one RTX PRO 6000, vLLM 0.20, 24 requests at once: 548 tokens/s together
        (FP8_31B, "rtx-pro-6000-workstation", 1, 24, 1200, 548 / 24),
        # benchmark report on L40S, prompts of 26,000 tokens: 34.8 ms per token
        (AWQ_31B, "l40s", 1, 1, 26_000, 1000 / 34.8),
        # one RTX 5090
        (AWQ_26B, "rtx-5090", 1, 1, 1000, 228),
        # noonghunna/club-3090: two RTX 3090, and one
        (INT4_31B, "rtx-3090", 2, 1, 1000, 59),
        (AWQ_26B, "rtx-3090", 2, 1, 1000, 139),
        ("google/gemma-4-12B-it", "rtx-3090", 2, 1, 1000, 47.5),
        ("Intel/gemma-4-12B-it-int8-AutoRound", "rtx-3090", 1, 1, 1000, 50),
    ],
)
def test_published_speed(
    repository: str, accelerator: str, gpus: int, batch: int, tokens: int, measured: float
) -> None:
    row = next(row for row in CATALOG.checkpoints if row.repository == repository and row.engine == "vllm")
    estimate = decode_tokens_per_second(
        CATALOG.models[row.model],
        row,
        CATALOG.accelerators[accelerator],
        gpus=gpus,
        batch=batch,
        kv_read=kv_read(row.model, tokens),
    )
    assert 0.7 < estimate / measured < 1.45, f"{estimate} estimated, {measured:.1f} measured"
