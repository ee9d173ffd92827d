"""KV cache bytes equal what vLLM 0.32's own planner returned, for every row of the recorded data."""

import json
from pathlib import Path
from typing import Any

import pytest
from gemma_operator.catalog.load import load_catalog
from gemma_operator.planner.memory import kv_bytes_per_sequence, kv_layout

DATA = Path(__file__).parent / "data"
FILES = ("vllm-0.32.0-kv.json", "vllm-0.32.0-kv-other-blocks.json")
KEYS = {"26b": "26b-a4b"}
CATALOG = load_catalog()


def recorded(file: str) -> Any:
    return json.loads((DATA / file).read_text())


def model(key: str) -> Any:
    return CATALOG.models[KEYS.get(key, key)]  # type: ignore[index]


@pytest.mark.parametrize("file", FILES)
def test_every_row_to_the_byte(file: str) -> None:
    data = recorded(file)
    wrong = []
    for values in data["rows"]:
        row = dict(zip(data["columns"], values, strict=True))
        expected = row.pop("bytes_per_sequence_per_gpu")
        found = kv_bytes_per_sequence(model=model(row.pop("model")), **row)
        if found != expected:
            wrong.append((values, found))
    assert not wrong


def test_the_data_covers_what_was_promised() -> None:
    data = recorded(FILES[0])
    columns = {name: {row[index] for row in data["rows"]} for index, name in enumerate(data["columns"])}
    assert {KEYS.get(key, key) for key in columns["model"]} == set(CATALOG.models)
    assert columns["tp"] == {1, 2, 4}
    assert columns["kv_dtype"] == {"bf16", "fp8"}
    assert columns["max_num_batched_tokens"] == {2048, 4096, 8192}
    assert columns["batches_in_flight"] == {1, 2}
    assert {8192, 262144} <= columns["context"]
    assert len(data["rows"]) >= 1000


@pytest.mark.parametrize("file", FILES)
def test_groups_and_pages(file: str) -> None:
    for recording in recorded(file)["groupings"]:
        layout = kv_layout(
            model=model(recording["model"]),
            tp=recording["tp"],
            kv_dtype=recording["kv_dtype"],
            max_num_batched_tokens=4096,
            batches_in_flight=1,
            block_size=recording["block_size"],
        )
        assert layout.bytes_per_block == recording["bytes_per_block"]
        groups = recording["groups"]
        assert layout.groups_sliding == sum(group["kind"] == "sliding" for group in groups)
        assert layout.groups_full == sum(group["kind"] == "global" for group in groups)
        for group in groups:
            own = layout.block_tokens_sliding if group["kind"] == "sliding" else layout.block_tokens_full
            assert (own, layout.page_bytes) == (group["block_tokens"], group["page_bytes"])


def test_the_example_of_the_requirement() -> None:
    """E2B, TP 1, bf16, 2048 batched tokens, one batch, 8192: the sum over ungrouped layers, 81,985,536, is too low."""
    found = kv_bytes_per_sequence(
        model=CATALOG.models["e2b"],
        tp=1,
        kv_dtype="bf16",
        max_num_batched_tokens=2048,
        batches_in_flight=1,
        context=8192,
    )
    assert found == 82_182_144
