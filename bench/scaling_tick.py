"""One round of the scaler over a large fleet, HTTP reads of every pod included, as a share of its period."""

import asyncio
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, cast

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.catalog.load import load_catalog
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, NODES, PODS, Object, Resource
from gemma_operator.cluster.scrape import Scraper
from gemma_operator.controller.manager import make_stores
from gemma_operator.controller.queue import WorkQueue
from gemma_operator.controller.scaling import one_round
from gemma_operator.planner.types import Plan, Pool
from gemma_operator.reconcile.events import EventRecorder
from gemma_operator.reconcile.kept import with_plan
from gemma_operator.reconcile.replicas import Scaler
from gemma_operator.reconcile.scaler import subjects
from gemma_operator.reconcile.world import World
from gemma_operator.scaling import Bounds, Observation, PodSample, Settings, State, decide

from bench.pod_server import BATCH, counters, engine_address, router_address
from bench.report import Finding
from tests.unit.inventory.builders import affinity, node, pod
from tests.unit.planner.builders import inventory_of, plan_on, spec_of

FLEET, REPLICAS, NAMESPACES, ROUTER_PODS = 100, 5, 10, 2
MAXIMUM = 16
HISTORY_SECONDS = 1800
ROUNDS = 4
"""Every deployment decides in at least one of them."""
SPEC: dict[str, Any] = {"model": "e2b", "accelerators": ["l4"], "scaling": {"max": MAXIMUM}}


class _Server:
    """An API server that takes every write."""

    async def patch(self, resource: Any, **_: Any) -> None:
        return None

    async def list(self, resource: Any, **_: Any) -> tuple[list[Object], str]:
        return [], "1"


def run() -> list[Finding]:
    """Two kinds of rounds: everybody content, and everybody wanting more GPUs than there are."""
    epoch = time.monotonic() - HISTORY_SECONDS
    arguments = [sys.executable, "-m", "bench.pod_server", str(epoch), str(FLEET * REPLICAS)]
    arguments.append(str(NAMESPACES * ROUTER_PODS))
    with subprocess.Popen(arguments, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            if server.stdout.readline().strip() != "ready":
                raise AssertionError("the faked pods did not start")
            return asyncio.run(_measure(epoch))
        finally:
            server.terminate()


async def _measure(epoch: float) -> list[Finding]:
    world, pool = _world()
    scraper = Scraper()
    state = _history(epoch, pool)
    try:
        _remember(world, state)
        content = await _rounds(world, scraper)
        _all_read(world, waiting=0)
        await asyncio.to_thread(_waiting, 400)
        hungry = await _rounds(world, scraper)
        _all_read(world, waiting=400 * REPLICAS)
        wishes = [scaler.wished for scaler in world.scalers.values()]
        if min(wishes) <= REPLICAS:
            raise AssertionError(f"not every deployment wants to grow: {wishes}")
    finally:
        await scraper.close()
    period = world.config.scrape_seconds
    how = (
        f"{FLEET} deployments, {FLEET * REPLICAS} engines in another process that answer over loopback with a whole "
        f"page of vLLM's metrics, {NAMESPACES * ROUTER_PODS} router pods, half an hour of history; the worst of "
        f"{ROUNDS} rounds, those in which all decide among them; median"
    )
    return [
        Finding(
            what=f"one scaling tick, {what}",
            figure=f"{max(times) / period:.0%} of the tick",
            aim="≤ 50 %",
            detail=f"{how} {median(times) / period:.0%} (of {period} s)",
        )
        for what, times in (("all content", content), ("all want more GPUs than there are", hungry))
    ]


async def _rounds(world: World, scraper: Scraper) -> list[float]:
    queue: WorkQueue[tuple[str, str]] = WorkQueue("bench")
    times = []
    for count in range(ROUNDS + 1):
        start = time.monotonic()
        await one_round(world, queue, scraper, subjects(world))
        took = time.monotonic() - start
        if count:  # the first opens the connections
            times.append(took)
        await asyncio.sleep(max(0.0, start + world.config.scrape_seconds - time.monotonic()))
    return times


def _waiting(count: int) -> None:
    address = f"http://{engine_address(0)}:{names.ENGINE_PORT}/waiting/{count}"
    urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=10).close()


def _all_read(world: World, *, waiting: int) -> None:
    """Refuse to report a figure of rounds in which pods were not read."""
    for key, scaler in world.scalers.items():
        if len(scaler.state.pods) != REPLICAS or scaler.blind:
            raise AssertionError(f"{key}: read {sorted(scaler.state.pods)}; {scaler.blind}")
        present = scaler.state.bins[-1].present
        if present != BATCH * REPLICAS + waiting:
            raise AssertionError(f"{key}: {present} requests seen")


def _history(epoch: float, pool: Pool) -> State:
    """What a scaler remembers after half an hour of this load."""
    state = State()
    bounds = Bounds(maximum=MAXIMUM, max_num_seqs=pool.max_num_seqs, chunk=pool.max_num_batched_tokens)
    for seconds in range(0, HISTORY_SECONDS - 5, 5):
        at = epoch + seconds
        samples = tuple(_sample(index, at=at, seconds=seconds) for index in range(REPLICAS))
        seen = Observation(at=at, samples=samples, ready=REPLICAS, current=REPLICAS)
        _, state = decide(seen, state, bounds, Settings())
    return state


def _sample(index: int, *, at: float, seconds: float) -> PodSample:
    counted = counters(seconds)
    return PodSample(
        pod=str(index),
        at=at,
        running=BATCH,
        waiting=0,
        kv_usage=0.0,
        completions=counted["vllm:request_success_total"],
        generation_tokens=counted["vllm:generation_tokens_total"],
        prompt_tokens=counted["vllm:prompt_tokens_total"],
        steps=counted["vllm:iteration_tokens_total_count"],
    )


def _remember(world: World, state: State) -> None:
    for key in (subject.key for subject in subjects(world)):
        pods = {f"{key[1]}-0-{index}": counted for index, counted in state.pods.items()}
        world.scalers[key] = Scaler(state=replace(state, pods=pods))


def _world() -> tuple[World, Pool]:
    client = cast(Client, _Server())
    world = World(
        client=client,
        config=OperatorConfig(),
        catalog=load_catalog(()),
        events=EventRecorder(client, instance="bench"),
        stores=make_stores(OperatorConfig()),
        operator_namespace="gemma-system",
        router_code={},
    )
    nodes = [node(f"l4-{index:03d}", gpus=8) for index in range(-(-FLEET * REPLICAS // 8))]
    for each in nodes:
        _put(world, NODES, each)
    _put(world, NODES, node("plain", gpu=None))
    pool = plan_on(inventory_of(*nodes), **SPEC).pools[0]
    where = affinity([dict(term) for term in pool.node_selector_terms])
    for index in range(FLEET):
        _deployment(world, pool, index=index, where=where)
    for index in range(NAMESPACES * ROUTER_PODS):
        made = pod(f"gemma-router-{index}", on="plain", namespace=f"fleet-{index % NAMESPACES}")
        made["metadata"]["labels"] |= {names.ROUTER_LABEL: "gemma-router"}
        _run(world, made, address=router_address(index))
    return world, pool


def _deployment(world: World, pool: Pool, *, index: int, where: Object) -> None:
    namespace, name = f"fleet-{index % NAMESPACES}", f"chat-{index:03d}"
    plan, spec = Plan(pools=(replace(pool, replicas=REPLICAS),), reason="it fits"), spec_of(**SPEC)
    metadata = {"name": name, "namespace": namespace, "generation": 1}
    obj = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": SPEC}
    _put(world, GEMMA_DEPLOYMENTS, obj)
    labels = {names.DEPLOYMENT_LABEL: name, names.MANAGED_BY_LABEL: names.MANAGER, names.POOL_LABEL: "0"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{name}-0", "namespace": namespace, "generation": 1, "labels": labels},
        "spec": {"replicas": REPLICAS},
    }
    _put(world, DEPLOYMENTS, with_plan(deployment, spec=spec, pool=pool, plan=plan))
    for replica in range(REPLICAS):
        number = index * REPLICAS + replica
        made = pod(
            f"{name}-0-{replica}",
            on=f"l4-{number // 8:03d}",
            gpus=1,
            namespace=namespace,
            deployment=name,
            affinity=where,
        )
        _run(world, made, address=engine_address(number))


def _run(world: World, made: Object, *, address: str) -> None:
    now = datetime.now(UTC).isoformat()
    made["metadata"]["labels"] |= {names.MANAGED_BY_LABEL: names.MANAGER}
    made["status"] = {
        "phase": "Running",
        "podIP": address,
        "containerStatuses": [{"name": "engine", "started": True, "restartCount": 0}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
    }
    _put(world, PODS, made)


def _put(world: World, resource: Resource, obj: Object) -> None:
    metadata = obj["metadata"]
    metadata |= {
        "uid": f"{resource.kind}-{metadata.get('namespace', '')}-{metadata['name']}",
        "resourceVersion": "1",
        "creationTimestamp": datetime.now(UTC).isoformat(),
    }
    world.stores[resource].upsert(obj)
