"""What engines, routers and pods tell about the requests of a GemmaDeployment."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gemma_router.proxy_config import STATE_PORT

from gemma_operator.api import names
from gemma_operator.cluster.resources import Object
from gemma_operator.cluster.scrape import EngineReport, RouterReport, Scraper
from gemma_operator.cluster.store import Key
from gemma_operator.reconcile.ages import Ages
from gemma_operator.reconcile.pods import address, has_started, is_ready, ready_since
from gemma_operator.reconcile.world import World
from gemma_operator.scaling.constants import STALE
from gemma_operator.scaling.types import PodSample


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterView:
    """What the pods of one router report together."""

    deployments: dict[str, RouterReport]
    """Of the pods that answered, those that are not Ready too: one that drains still holds what it has."""
    silent: int
    """Ready pods of it that gave no answer."""
    pods: int
    """Ready pods."""

    def counts(self, deployment: str) -> RouterReport | None:
        """In flight and held of one deployment over all router pods; `None` when that is not known."""
        return None if self.silent or not self.pods else self.at_least(deployment)

    def at_least(self, deployment: str) -> RouterReport:
        """What is surely in flight and held, whoever did not answer."""
        return self.deployments.get(deployment, RouterReport(in_flight=0, held=0))


async def read_routers(world: World, scraper: Scraper, routers: Iterable[Key]) -> dict[Key, RouterView]:
    """What each router reports, all pods read at once."""
    keys = sorted(set(routers))
    return dict(zip(keys, await asyncio.gather(*(_router(world, scraper, key) for key in keys)), strict=True))


async def _router(world: World, scraper: Scraper, key: Key) -> RouterView:
    found = world.pods(namespace=key[0], label=names.ROUTER_LABEL, value=key[1])
    pods = [pod for pod in found if is_ready(pod) or (address(pod) and has_started(pod))]
    answers = await asyncio.gather(*(scraper.router(address(pod), port=STATE_PORT) for pod in pods))
    sums: dict[str, RouterReport] = {}
    for answer in answers:
        for name, report in (answer or {}).items():
            before = sums.get(name, RouterReport(in_flight=0, held=0))
            sums[name] = RouterReport(in_flight=before.in_flight + report.in_flight, held=before.held + report.held)
    ready = [answer for pod, answer in zip(pods, answers, strict=True) if is_ready(pod)]
    return RouterView(deployments=sums, silent=sum(answer is None for answer in ready), pods=len(ready))


async def read_engines(scraper: Scraper, pods: Sequence[Object], *, at: float, ages: Ages) -> list[PodSample]:
    """Samples of the pods that answered, draining ones too: their requests are still running."""
    ready = {pod["metadata"]["name"]: _ready_at(pod, at=at, ages=ages) for pod in pods}
    asked = [pod for pod in pods if address(pod) and has_started(pod)]
    answers = await asyncio.gather(*(scraper.engine(address(pod), port=names.ENGINE_PORT) for pod in asked))
    return [
        sample(name := pod["metadata"]["name"], report, at=at, ready_at=ready[name])
        for pod, report in zip(asked, answers, strict=True)
        if report is not None
    ]


def with_last(
    samples: Sequence[PodSample], last: Mapping[str, PodSample], pods: Sequence[Object], *, at: float
) -> list[PodSample]:
    """Samples, and the last one of each Ready pod that did not answer now, for as long as it is fresh."""
    read = {each.pod for each in samples}
    silent = [pod["metadata"]["name"] for pod in pods if is_ready(pod) and pod["metadata"]["name"] not in read]
    kept = [last[name] for name in silent if name in last and 0 <= at - last[name].at <= STALE]
    return [*samples, *kept]


def _ready_at(pod: Object, *, at: float, ages: Ages) -> float | None:
    """Since when a pod is Ready, on the clock of `at`."""
    since = ready_since(pod)
    return None if since is None else at - ages.since(f"ready {pod['metadata']['uid']}", since)


def sample(pod: str, report: EngineReport, *, at: float, ready_at: float | None) -> PodSample:
    """An engine's report as the scaling policy reads it."""
    return PodSample(
        pod=pod,
        at=at,
        running=report.running,
        waiting=report.waiting,
        kv_usage=report.kv_usage,
        completions=report.completions,
        generation_tokens=report.generation_tokens,
        prompt_tokens=max(0, report.prompt_tokens - report.cached_tokens),
        steps=report.steps,
        ready_at=ready_at,
    )
