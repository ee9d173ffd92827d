"""What Prometheus, the operator and the scaler read, and the queue behind `--max-num-seqs`."""

import json
import re
from pathlib import Path

from conformance.engines import Engine, wait_for
from prometheus_client.parser import text_string_to_metric_families

RECORDED = Path(__file__).parent / "data" / "vllm-0.32.0-metrics.json"
"""Family to type and label names, recorded from the real engine by record_metrics.py."""

USED = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:num_requests_waiting_by_reason",
    "vllm:kv_cache_usage_perc",
    "vllm:cache_config_info",
    "vllm:request_success",
    "vllm:num_preemptions",
    "vllm:prompt_tokens",
    "vllm:generation_tokens",
    "vllm:time_to_first_token_seconds",
    "vllm:inter_token_latency_seconds",
    "vllm:e2e_request_latency_seconds",
    "vllm:request_queue_time_seconds",
    "vllm:prefix_cache_queries",
    "vllm:prefix_cache_hits",
    "vllm:engine_sleep_state",
}
"""Families that the product or its documentation names; counters without their `_total`."""


def families(text: str) -> dict[str, dict[str, object]]:
    """Return the vLLM families of a scrape: type, and the label names of all samples but `le`."""
    found: dict[str, dict[str, object]] = {}
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("vllm:") or family.name.endswith("_created"):
            continue
        names = {name for sample in family.samples for name in sample.labels if name != "le"}
        found[family.name] = {"type": family.type, "labels": sorted(names)}
    return found


def test_families_are_those_of_vllm(engine: Engine) -> None:
    engine.chat(max_tokens=2)
    recorded = json.loads(RECORDED.read_text())["families"]
    shown = families(engine.metrics())
    assert set(shown) >= USED, "families that the product reads are missing"
    unknown = set(shown) - set(recorded)
    assert not unknown, "vLLM 0.32 has no such families"
    different = {name: shown[name] for name in shown if shown[name] != recorded[name]}
    assert not different, "type or labels differ from vLLM's"


def test_model_name_is_the_first_served_name(engine: Engine) -> None:
    engine.chat(model="gpt-4o-mini", max_tokens=2)
    for line in engine.metrics().splitlines():
        if line.startswith("vllm:") and "model_name=" in line:
            assert 'model_name="chat"' in line


def test_cache_config_tells_the_kv_cache(engine: Engine) -> None:
    line = next(line for line in engine.metrics().splitlines() if line.startswith("vllm:cache_config_info{"))
    labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
    tokens, concurrency = int(labels["kv_cache_size_tokens"]), float(labels["kv_cache_max_concurrency"])
    assert tokens == int(concurrency * 8192)
    assert int(labels["num_gpu_blocks"]) > 0
    assert int(labels["block_size"]) % 16 == 0


def test_requests_beyond_the_slots_wait(engine: Engine) -> None:
    streams = [engine.stream(max_tokens=600) for _ in range(4)]
    wait_for(
        "two running, two waiting",
        lambda: engine.gauge("vllm:num_requests_running") == 2 and engine.gauge("vllm:num_requests_waiting") == 2,
        seconds=30,
    )
    reasons = [line for line in engine.metrics().splitlines() if "waiting_by_reason{" in line]
    assert any('reason="capacity"' in line and line.endswith(" 2.0") for line in reasons), reasons
    for stream in streams:
        wait_for("the streams to end", stream.ended, seconds=120)
        assert stream.usage()["completion_tokens"] == 600
    wait_for("the queue to empty", lambda: engine.gauge("vllm:num_requests_running") == 0, seconds=10)
    assert engine.gauge("vllm:num_requests_waiting") == 0


def test_counters_count(engine: Engine) -> None:
    before = engine.gauge("vllm:generation_tokens_total"), engine.gauge("vllm:request_success_total")
    engine.chat(max_tokens=7)
    wait_for(
        "the counters to move",
        lambda: (
            engine.gauge("vllm:generation_tokens_total") == before[0] + 7
            and engine.gauge("vllm:request_success_total") == before[1] + 1
        ),
        seconds=15,
    )
