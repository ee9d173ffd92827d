"""`kubectl gemma memory`, `models` and `accelerators`."""

import json

import pytest
import yaml


def test_memory_rows_are_vllms_bytes(run):
    result = run(
        *["memory", "--model", "e2b", "--tp", "1", "--kv-dtype", "bf16", "--max-num-batched-tokens", "2048"],
        *["--batches-in-flight", "1", "--context", "8192", "-o", "json"],
    )
    assert json.loads(result.stdout) == [
        {
            "model": "e2b",
            "tp": 1,
            "kv_dtype": "bf16",
            "max_num_batched_tokens": 2048,
            "batches_in_flight": 1,
            "context": 8192,
            "bytes_per_sequence_per_gpu": 82_182_144,
        }
    ]


def test_memory_of_every_combination(run):
    result = run(
        *["memory", "--model", "all", "--tp", "1,2,4", "--kv-dtype", "bf16,fp8", "--max-num-batched-tokens", "4096"],
        *["--batches-in-flight", "2", "--context", "8192,131072", "-o", "json"],
    )
    rows = json.loads(result.stdout)
    assert len(rows) == 5 * 3 * 2 * 2
    assert len({json.dumps(row) for row in rows}) == len(rows)
    assert {row["batches_in_flight"] for row in rows} == {2}


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("--model e5b", "use all or some of e2b"),
        ("--model auto", "name the models"),
        ("--tp 3", "e2b splits over 1, 2, 4, 8 GPUs"),
        ("--tp x", "--tp 'x': write numbers above 0"),
        ("--kv-dtype int8", "use bf16 or fp8"),
        ("--context 300000 --model e2b", "above the limit of e2b, 131072"),
    ],
)
def test_memory_refuses_what_no_engine_takes(run, options, part):
    result = run("memory", *options.split())
    assert result.exit_code == 1
    assert part in result.stderr


def test_memory_as_a_table(run):
    lines = run("memory", "--model", "31b").stdout.splitlines()
    assert lines[0].split() == ["MODEL", "TP", "KV", "BATCHED", "IN", "FLIGHT", "CONTEXT", "BYTES/SEQ/GPU", "GIB"]
    assert len(lines) == 2


def test_models(run):
    models = json.loads(run("models", "-o", "json").stdout)
    assert [each["model"] for each in models] == ["e2b", "e4b", "12b", "26b-a4b", "31b"]
    assert {c["engine"] for each in models for c in each["checkpoints"]} == {"vllm", "ollama"}
    assert yaml.safe_load(run("models", "-o", "yaml").stdout) == models
    text = run("models").stdout
    assert "google/gemma-4-31B-it" in text
    assert "* inferred, not read from a source" in text


def test_accelerators(run, tmp_path):
    rows = json.loads(run("accelerators", "-o", "json").stdout)
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names)) >= 30
    l4 = next(row for row in rows if row["name"] == "l4")
    assert (l4["computeCapability"], l4["memoryBytes"], l4["inferred"]) == ("8.9", 23034 * 2**20, ["price"])
    table = {line.split()[0]: line for line in run("accelerators").stdout.splitlines()}
    assert "0.81*" in table["l4"]
    assert "22.5 GiB " in table["l4"], "memory was read from a source: no mark"
    config = tmp_path / "config.yaml"
    config.write_text("accelerators: [{name: l4, fields: {price: {perHour: 0.2}}}]\n")
    cheap = json.loads(run("accelerators", "-o", "json", "--config", config).stdout)
    assert next(row for row in cheap if row["name"] == "l4")["pricePerHour"] == 0.2


def test_a_wrong_row_is_named(run, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("accelerators: [{name: l4, fields: {memory: much}}]\n")
    result = run("accelerators", "--config", config)
    assert result.exit_code == 1
    assert "'l4'" in result.stderr
    assert "memory" in result.stderr
