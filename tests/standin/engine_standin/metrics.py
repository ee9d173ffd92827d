"""The vllm: metrics. Names, help, labels and buckets come from data/metrics.json, made from a real scrape."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from engine_standin.config import EngineConfig
from engine_standin.sequences import Sequence as Request

ENGINE_LABEL = "0"


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table. `values` holds the values of the one extra label that some families have."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    values: Mapping[str, Sequence[str]]
    fixed: Mapping[str, str]
    buckets: Sequence[float] | str


def families() -> list[Family]:
    """Return every vllm: family of the real scrape."""
    text = files("engine_standin").joinpath("data/metrics.json").read_text(encoding="utf-8")
    return [
        Family(
            name=row["name"],
            kind=row["kind"],
            help=row["help"],
            labels=tuple(row["labels"]),
            values=row.get("values", {}),
            fixed=row.get("values_fixed", {}),
            buckets=row.get("buckets", ()),
        )
        for row in json.loads(text)["families"]
    ]


def token_buckets(longest: int) -> list[float]:
    """Return 1, 2, 5, 10, … up to `longest`: the buckets of histograms that count tokens of a request."""
    buckets: list[float] = []
    power = 1
    while True:
        for step in (1, 2, 5):
            if step * power > longest:
                return buckets
            buckets.append(float(step * power))
        power *= 10


def cache_labels(config: EngineConfig, fixed: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of vllm:cache_config_info for this configuration."""
    args = config.args
    ours: dict[str, Any] = {
        "block_size": config.block_size,
        "effective_attention_block_size": config.block_size,
        "cache_dtype": args.kv_cache_dtype,
        "enable_prefix_caching": config.prefix_caching,
        "gpu_memory_utilization": args.gpu_memory_utilization,
        "kv_cache_max_concurrency": config.kv_tokens / config.max_model_len,
        "kv_cache_memory_bytes": args.kv_cache_memory_bytes,
        "kv_cache_size_tokens": config.kv_tokens,
        "num_gpu_blocks": -(-config.kv_tokens // config.block_size),
        "num_gpu_blocks_override": args.num_gpu_blocks_override,
        "user_specified_block_size": args.block_size is not None,
    }
    return {**fixed, **{name: str(value) for name, value in ours.items()}}


def _tool_counter(config: EngineConfig, registry: CollectorRegistry) -> Counter:
    """Return the counter that is there only with a tool parser, all its series at 0."""
    counter = Counter(
        "vllm:tool_call_parser_invocations",
        "Total number of ToolParser invocations. Non-streaming increments once per choice; "
        "streaming increments once per delta.",
        ("model_name", "mode", "outcome", "request_type"),
        registry=registry,
    )
    for mode in ("streaming", "non_streaming"):
        for outcome in ("tool_call", "no_tool_call"):
            for kind in ("chat_completions", "responses", "other"):
                counter.labels(config.name, mode, outcome, kind)
    return counter


class EngineMetrics:
    """Holds the metrics of one engine in `registry`; with --disable-log-stats there are none."""

    def __init__(self, config: EngineConfig, registry: CollectorRegistry) -> None:
        self._known: dict[tuple[str, str], Any] = {}
        self._name = config.name
        self._tools: Counter | None = None
        if config.args.disable_log_stats:
            return
        labels = {"model_name": config.name, "engine": ENGINE_LABEL}
        for family in families():
            self._add(family, {name: labels[name] for name in family.labels}, config, registry)
        self._set("vllm:engine_sleep_state", 1, "awake")
        if config.tool_parser:
            self._tools = _tool_counter(config, registry)

    def _add(self, family: Family, labels: dict[str, str], config: EngineConfig, registry: CollectorRegistry) -> None:
        extra = next(iter(family.values), None)
        fixed = cache_labels(config, family.fixed) if family.fixed else {}
        names = [*family.labels, *([extra] if extra else []), *fixed]
        metric: Any
        if family.kind == "histogram":
            buckets = token_buckets(config.max_model_len) if family.buckets == "request_tokens" else family.buckets
            metric = Histogram(family.name, family.help, names, registry=registry, buckets=buckets)
        else:
            make = Counter if family.kind == "counter" else Gauge
            metric = make(family.name, family.help, names, registry=registry)
        for value in family.values[extra] if extra else [""]:
            more = {extra: value} if extra else {}
            self._known[family.name, value] = metric.labels(**labels, **more, **fixed)
        if fixed:
            self._set(family.name, 1)

    def _set(self, name: str, value: float, extra: str = "") -> None:
        if (metric := self._known.get((name, extra))) is not None:
            metric.set(value)

    def _inc(self, name: str, amount: float, extra: str = "") -> None:
        if (metric := self._known.get((name, extra))) is not None:
            metric.inc(amount)

    def _observe(self, name: str, value: float, *, times: int = 1) -> None:
        if (metric := self._known.get((name, ""))) is not None:
            for _ in range(times):
                metric.observe(value)

    # -- what the engine reports -----------------------------------------------------------------------------

    def state(self, *, running: int, waiting: int, usage: float) -> None:
        """Set the gauges."""
        self._set("vllm:num_requests_running", running)
        self._set("vllm:num_requests_waiting", waiting)
        self._set("vllm:num_requests_waiting_by_reason", waiting, "capacity")
        self._set("vllm:num_requests_waiting_by_reason", 0, "deferred")
        self._set("vllm:kv_cache_usage_perc", usage)

    def preempted(self) -> None:
        """Count a preemption."""
        self._inc("vllm:num_preemptions", 1)

    def rejected(self, reason: str) -> None:
        """Count a request that a queue limit refused."""
        self._inc("vllm:admission_rejections", 1, reason)

    def prefix_lookup(self, *, queried: int, hit: int) -> None:
        """Count tokens looked up in the prefix cache."""
        self._inc("vllm:prefix_cache_queries", queried)
        self._inc("vllm:prefix_cache_hits", hit)
        self._inc("vllm:prompt_tokens_cached_by_source", hit, "device")

    def prefilled(self, prompt: int, *, cached: int) -> None:
        """Count a prompt that is computed."""
        self._inc("vllm:prompt_tokens", prompt)
        self._inc("vllm:prompt_tokens_by_source", prompt - cached, "local_compute")
        self._inc("vllm:prompt_tokens_by_source", cached, "local_cache_hit")
        self._inc("vllm:prompt_tokens_cached", cached)

    def iteration(self, *, decode: Sequence[int], prefill: int) -> None:
        """Record the engine steps of one tick: `decode` tokens per request, and tokens prefilled in the first."""
        for step in range(max(1, max(decode, default=0))):
            tokens = sum(count > step for count in decode)
            self._observe("vllm:iteration_tokens_total", tokens + (prefill if step == 0 else 0))

    def emitted(self, request: Request, tokens: int, now: float) -> None:
        """Record tokens of `request` before its own times are updated."""
        self._inc("vllm:generation_tokens", tokens)
        if request.last_token is None:
            self._observe("vllm:time_to_first_token_seconds", now - request.arrived)
            tokens -= 1
        if tokens > 0:
            gap = (now - (request.last_token or now)) / tokens
            self._observe("vllm:inter_token_latency_seconds", gap, times=tokens)

    def parsed(self, *, streaming: bool, called: bool) -> None:
        """Count one run of the tool parser: per answer, or per chunk of a stream."""
        if self._tools is not None:
            mode = "streaming" if streaming else "non_streaming"
            outcome = "tool_call" if called else "no_tool_call"
            self._tools.labels(self._name, mode, outcome, "chat_completions").inc()

    def finished(self, request: Request, now: float) -> None:
        """Record a request that came to its end."""
        scheduled = request.scheduled or now
        first = request.first_token or now
        last = request.last_token or now
        self._inc("vllm:request_success", 1, request.finished or "stop")
        self._observe("vllm:e2e_request_latency_seconds", now - request.arrived)
        self._observe("vllm:request_queue_time_seconds", scheduled - request.arrived)
        self._observe("vllm:request_prefill_time_seconds", first - scheduled)
        self._observe("vllm:request_decode_time_seconds", last - first)
        self._observe("vllm:request_inference_time_seconds", last - scheduled)
        self._observe("vllm:request_num_preemptions", request.preemptions)
        self._observe("vllm:request_prefill_kv_computed_tokens", len(request.prompt) - request.cached)
        self._observe("vllm:request_prompt_tokens", len(request.prompt))
        self._observe("vllm:request_generation_tokens", request.emitted)
        each = (last - first) / (request.emitted - 1) if request.emitted > 1 else 0
        self._observe("vllm:request_time_per_output_token_seconds", each)
        self._observe("vllm:request_params_max_tokens", request.max_tokens)
        siblings = request.siblings
        siblings.left -= 1
        siblings.longest = max(siblings.longest, request.emitted)
        if siblings.left == 0:
            self._observe("vllm:request_max_num_generation_tokens", siblings.longest)
            self._observe("vllm:request_params_n", siblings.n)
