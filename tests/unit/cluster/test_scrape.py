"""What engines and router pods answer, read as numbers or not at all."""

from pathlib import Path

import pytest
from aiohttp import web
from gemma_operator.cluster.scrape import RouterReport, Scraper, engine_report, router_reports

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


@pytest.mark.parametrize("number", ["many", "NaN", "+Inf", "-3", "1e300"])
@pytest.mark.parametrize("gauge", ["num_requests_running", "kv_cache_usage_perc"])
def test_a_broken_number_is_no_answer(gauge: str, number: str) -> None:
    line = f'vllm:{gauge}{{engine="0",model_name="chat"}} '
    assert line + "0.0" in EXPOSITION
    assert engine_report(EXPOSITION.replace(line + "0.0", line + number)) is None


def test_a_negative_number_is_no_answer_whatever_other_ranks_say() -> None:
    line = 'vllm:num_requests_running{engine="0",model_name="chat"} '
    ranks = f"{line}7.0\n{line.replace('0', '1', 1)}-3.0"
    assert engine_report(EXPOSITION.replace(line + "0.0", ranks)) is None


def test_what_a_router_pod_counts() -> None:
    text = '{"at": 1, "deployments": {"chat": {"inFlight": 3, "held": 2, "endpoints": 1, "ejected": 0}}}'
    assert router_reports(text) == {"chat": RouterReport(in_flight=3, held=2)}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"deployments": 3}', '{"deployments": {"chat": {}}}', '{"deployments": {"c": 1}}']
)
def test_another_answer_of_a_router_is_none(text: str) -> None:
    assert router_reports(text) is None


@pytest.mark.parametrize("number", ["1e999", "-1", "NaN", "1.5", "true", '"3"', "null", str(10**400), "9" * 5000])
@pytest.mark.parametrize("field", ["inFlight", "held"])
def test_a_router_that_counts_what_cannot_be_has_not_answered(field: str, number: str) -> None:
    counts = {"inFlight": "0", "held": "0", field: number}
    text = ", ".join(f'"{name}": {value}' for name, value in counts.items())
    assert router_reports('{"deployments": {"chat": {' + text + "}}}") is None


def test_an_answer_nested_too_deeply_is_none() -> None:
    assert router_reports('{"deployments": ' + "[" * 200_000) is None


class _Pod:
    """Answers with bytes and a content type that the test says."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self._body, self._type = body, content_type

    async def __aenter__(self) -> int:
        async def answer(_: web.BaseRequest) -> web.Response:
            return web.Response(body=self._body, headers={"Content-Type": self._type})

        self._runner = web.ServerRunner(web.Server(answer))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def test_an_answer_that_names_a_strange_charset_is_read_as_text() -> None:
    scraper = Scraper()
    body = b'{"deployments": {"chat": {"inFlight": 1, "held": 2}}}'
    try:
        async with _Pod(body, "application/json; charset=hex") as port:
            assert await scraper.router("127.0.0.1", port=port) == {"chat": RouterReport(in_flight=1, held=2)}
    finally:
        await scraper.close()
