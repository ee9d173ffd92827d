"""The scheduler: slots, the KV cache, preemption, prefixes, aborts and the metrics that tell of them."""

import asyncio
import json
from importlib.resources import files

from engine_standin.kv import BlockPool
from engine_standin.metrics import families, token_buckets

from tests.unit.standin.conftest import Standin, Start, gauge


async def scrape(standin: Standin) -> str:
    response = await standin.client.get("/metrics")
    text: str = await response.text()
    return text


async def test_requests_beyond_the_slots_wait(start: Start) -> None:
    standin = await start("--max-num-seqs=2", STANDIN_TOKENS_PER_SECOND="400")
    engine = standin.frontend.engine
    chats = [asyncio.create_task(standin.chat(max_tokens=200, ignore_eos=True)) for _ in range(5)]
    await standin.until(lambda: (len(engine.running), len(engine.waiting)) == (2, 3))
    text = await scrape(standin)
    assert gauge(text, "vllm:num_requests_running") == 2
    assert gauge(text, "vllm:num_requests_waiting") == 3
    assert gauge(text, "vllm:num_requests_waiting_by_reason", reason="capacity") == 3
    assert gauge(text, "vllm:num_requests_waiting_by_reason", reason="deferred") == 0
    for response in await asyncio.gather(*chats):
        assert (await response.json())["usage"]["completion_tokens"] == 200
    text = await scrape(standin)
    assert gauge(text, "vllm:num_requests_running") == 0
    assert gauge(text, "vllm:kv_cache_usage_perc") == 0
    assert gauge(text, "vllm:request_success_total", finished_reason="length") == 5
    assert gauge(text, "vllm:generation_tokens_total") == 1000
    assert gauge(text, "vllm:time_to_first_token_seconds_count") == 5
    assert gauge(text, "vllm:inter_token_latency_seconds_count") == 995
    assert gauge(text, "vllm:request_params_n_count") == 5


async def test_the_kv_cache_is_never_exceeded_and_everything_ends(start: Start) -> None:
    standin = await start("--max-model-len=320", STANDIN_KV_TOKENS="480", STANDIN_TOKENS_PER_SECOND="20000")
    engine = standin.frontend.engine
    seen = 0.0
    chats = [
        asyncio.create_task(standin.chat(f"question {number}", max_tokens=250, ignore_eos=True)) for number in range(6)
    ]
    while not all(chat.done() for chat in chats):
        assert 0 <= engine.pool.free <= engine.pool.total
        seen = max(seen, engine.pool.usage)
        await asyncio.sleep(0.002)
    for response in await asyncio.gather(*chats):
        assert (await response.json())["usage"]["completion_tokens"] == 250
    assert seen > 0.5
    assert engine.pool.usage == 0
    assert gauge(await scrape(standin), "vllm:num_preemptions_total") > 0


async def test_a_client_that_leaves_frees_its_slot(start: Start) -> None:
    standin = await start(STANDIN_TOKENS_PER_SECOND="20")
    engine = standin.frontend.engine
    response = await standin.chat(stream=True, max_tokens=5000, ignore_eos=True)
    await response.content.readline()
    assert len(engine.running) == 1
    response.close()
    await standin.until(lambda: not engine.unfinished)
    assert engine.pool.usage == 0
    chat = asyncio.create_task(standin.chat(max_tokens=5000, ignore_eos=True))
    await standin.until(lambda: engine.unfinished == 1)
    chat.cancel()
    await asyncio.gather(chat, return_exceptions=True)
    await standin.until(lambda: not engine.unfinished)


async def test_a_known_prefix_is_found_again(start: Start) -> None:
    standin = await start("--enable-prompt-tokens-details")
    first = (await (await standin.chat("word " * 100)).json())["usage"]
    second = (await (await standin.chat("word " * 100)).json())["usage"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["prompt_tokens_details"]["cached_tokens"] >= second["prompt_tokens"] - 32
    text = await scrape(standin)
    assert gauge(text, "vllm:prefix_cache_hits_total") == second["prompt_tokens_details"]["cached_tokens"]


async def test_queue_limit_answers_503(start: Start) -> None:
    standin = await start("--max-num-queued-reqs=1", STANDIN_TOKENS_PER_SECOND="20")
    chat = asyncio.create_task(standin.chat(max_tokens=1000, ignore_eos=True))
    await standin.until(lambda: standin.frontend.engine.unfinished == 1)
    refused = await standin.chat()
    assert refused.status == 503
    assert "currently busy" in (await refused.json())["error"]["message"]
    assert gauge(await scrape(standin), "vllm:admission_rejections_total", reason="max_num_queued_reqs") == 1
    chat.cancel()
    await asyncio.gather(chat, return_exceptions=True)


async def test_more_requests_are_slower_each(start: Start) -> None:
    standin = await start(STANDIN_TOKENS_PER_SECOND="500", STANDIN_BATCH_SLOWDOWN="1")
    engine = standin.frontend.engine
    assert engine._decode_seconds(4) == 4 * engine._decode_seconds(1)


async def test_scrape_has_the_families_of_vllm(start: Start) -> None:
    standin = await start("--served-model-name", "chat", "other")
    text = await scrape(standin)
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE vllm:")}
    total = {f.name + ("_total" if f.kind == "counter" else "") for f in families()}
    assert {name for name in shown if not name.endswith("_created")} == total
    assert 'model_name="other"' not in text
    assert gauge(text, "vllm:cache_config_info", kv_cache_size_tokens=str(standin.frontend.config.kv_tokens)) == 1


async def test_no_statistics_no_metrics(start: Start) -> None:
    standin = await start("--disable-log-stats")
    assert (await standin.chat(max_tokens=2)).status == 200
    assert "vllm:" not in await scrape(standin)


def test_metric_table_names_its_source() -> None:
    table = json.loads(files("engine_standin").joinpath("data/metrics.json").read_text())
    assert "0.32.0" in table["source"]
    assert token_buckets(2048)[-3:] == [500.0, 1000.0, 2000.0]


def test_blocks_are_given_whole_and_taken_back() -> None:
    pool = BlockPool(tokens=64, block_size=16, remember_prefixes=True)
    assert pool.grow("a", 17)
    assert pool.usage == 0.5
    assert not pool.grow("b", 33)
    assert pool.usage == 0.5
    pool.release("a")
    assert pool.free == 4
    pool.remember(list(range(40)))
    assert pool.cached_tokens(list(range(40))) == 32
    assert pool.cached_tokens(list(range(32))) == 16
    assert pool.cached_tokens([9, *range(40)]) == 0
