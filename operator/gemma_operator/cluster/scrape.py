"""What engines and router pods report of themselves, read from the pods directly: no Prometheus needed."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from gemma_operator.cluster import telemetry

T = TypeVar("T")

TIMEOUT_SECONDS: Final = 3.0
ROUTER_TIMEOUT_SECONDS: Final = 1.0
"""A router pod on a lost node must not keep what the others hold from being known."""
AT_ONCE: Final = 64
"""Pods read at the same time: a large fleet must not open a connection to every pod at once."""
MOST: Final = 1 << 50
"""No real count is larger, and sums of such numbers are still exact as floats."""

_GAUGES: Final = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "kv_usage",
}
_COUNTERS: Final = {
    "vllm:request_success_total": "completions",
    "vllm:generation_tokens_total": "generation_tokens",
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:prompt_tokens_cached_total": "cached_tokens",
    "vllm:iteration_tokens_total_count": "steps",
}
_READ: Final = {**_GAUGES, **_COUNTERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReport:
    """One engine's numbers; counters since its start. Names as in vLLM 0.32."""

    running: int
    waiting: int
    kv_usage: float
    """Share of the KV cache in use, 0..1."""
    completions: int
    generation_tokens: int
    prompt_tokens: int
    cached_tokens: int
    """Prompt tokens that the prefix cache had; part of `prompt_tokens`."""
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterReport:
    """What one router pod counts for one deployment."""

    in_flight: int
    held: int


def engine_report(text: str) -> EngineReport | None:
    """The numbers of an exposition, summed over data-parallel ranks; `None` unless all are there and make sense."""
    wanted = "\n".join(line for line in text.splitlines() if line.startswith(tuple(_READ)))
    sums: dict[str, float] = {}
    peak = 0.0
    try:
        for family in text_string_to_metric_families(wanted + "\n"):
            for sample in family.samples:
                if (name := _READ.get(sample.name)) is not None:
                    if not 0 <= sample.value <= MOST:
                        return None
                    sums[name] = sums.get(name, 0.0) + sample.value
                    peak = max(peak, sample.value) if name == "kv_usage" else peak
    except ValueError:
        return None
    if set(_READ.values()) - set(sums):
        return None
    whole = {name: round(value) for name, value in sums.items() if name != "kv_usage"}
    return EngineReport(kv_usage=peak, **whole)


def router_reports(text: str) -> dict[str, RouterReport] | None:
    """Deployment name → counts of one router pod; `None` for anything but such an answer."""
    try:
        found = json.loads(text)["deployments"]
        return {
            name: RouterReport(in_flight=_count(counts["inFlight"]), held=_count(counts["held"]))
            for name, counts in found.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _count(value: object) -> int:
    """A number of requests as it is; raises `ValueError` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
        raise ValueError("not a number of requests")
    return value


class Scraper:
    """Reads pods over HTTP, a bounded number at once. An answer that is late, broken or missing is `None`."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def engine(self, address: str, *, port: int) -> EngineReport | None:
        """The metrics of an engine pod."""
        return await self._read(
            address, port=port, path="/metrics", parse=engine_report, what="engine", seconds=TIMEOUT_SECONDS
        )

    async def router(self, address: str, *, port: int) -> dict[str, RouterReport] | None:
        """The counts of a router pod."""
        return await self._read(
            address,
            port=port,
            path="/gemma/v1/state",
            parse=router_reports,
            what="router",
            seconds=ROUTER_TIMEOUT_SECONDS,
        )

    async def _read(
        self, address: str, *, port: int, path: str, parse: Callable[[str], T | None], what: str, seconds: float
    ) -> T | None:
        host = f"[{address}]" if ":" in address else address
        if self._session is None:
            # No proxy of the environment: pods are reached directly.
            self._session = aiohttp.ClientSession(trust_env=False)
        answer: T | None = None
        async with self._slots:
            try:
                timeout = aiohttp.ClientTimeout(total=seconds)
                async with self._session.get(f"http://{host}:{port}{path}", timeout=timeout) as response:
                    if response.status == 200:
                        # Not text(): it would decode by whatever charset the answer names.
                        answer = parse((await response.read()).decode(errors="replace"))
            except (TimeoutError, aiohttp.ClientError, OSError):
                pass
        telemetry.SCRAPES.labels(what=what, result="ok" if answer is not None else "failed").inc()
        return answer
