"""What engines and router pods answer, read as numbers or not at all."""

from pathlib import Path

import pytest
from gemma_operator.cluster.scrape import RouterReport, engine_report, router_reports

EXPOSITION = (Path(__file__).parent / "data" / "vllm-0.32.0-metrics.txt").read_text()


def test_the_exposition_of_a_real_engine() -> None:
    report = engine_report(EXPOSITION)
    assert report is not None
    assert (report.running, report.waiting, report.kv_usage) == (0, 0, 0.0)
    assert (report.completions, report.generation_tokens, report.prompt_tokens) == (4, 192, 8051)
    assert (report.cached_tokens, report.steps) == (0, 192)


def test_ranks_are_added_up_and_the_fullest_cache_counts() -> None:
    second = EXPOSITION.replace('engine="0"', 'engine="1"').replace(
        'vllm:kv_cache_usage_perc{engine="1",model_name="chat"} 0.0',
        'vllm:kv_cache_usage_perc{engine="1",model_name="chat"} 0.5',
    )
    report = engine_report(EXPOSITION + second)
    assert report is not None
    assert report.completions == 8
    assert report.kv_usage == 0.5


@pytest.mark.parametrize(
    "text",
    ["", "not metrics", "vllm:num_requests_running 1", EXPOSITION.replace("vllm:num_requests_waiting{", "x{")],
    ids=["empty", "noise", "half", "one missing"],
)
def test_half_an_answer_is_none(text: str) -> None:
    assert engine_report(text) is None


@pytest.mark.parametrize("number", ["many", "NaN", "+Inf", "-3"])
@pytest.mark.parametrize("gauge", ["num_requests_running", "kv_cache_usage_perc"])
def test_a_broken_number_is_no_answer(gauge: str, number: str) -> None:
    line = f'vllm:{gauge}{{engine="0",model_name="chat"}} '
    assert line + "0.0" in EXPOSITION
    assert engine_report(EXPOSITION.replace(line + "0.0", line + number)) is None


def test_what_a_router_pod_counts() -> None:
    text = '{"at": 1, "deployments": {"chat": {"inFlight": 3, "held": 2, "endpoints": 1, "ejected": 0}}}'
    assert router_reports(text) == {"chat": RouterReport(in_flight=3, held=2)}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"deployments": 3}', '{"deployments": {"chat": {}}}', '{"deployments": {"c": 1}}']
)
def test_another_answer_of_a_router_is_none(text: str) -> None:
    assert router_reports(text) is None
