"""Planning on a large fleet against planning on a small one."""

import time
from collections.abc import Callable
from statistics import median

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.load import load_catalog
from gemma_operator.inventory.build import FactsMemo, build_inventory
from gemma_operator.inventory.trim import trim_node, trim_pod
from gemma_operator.planner.plan import plan

from bench.report import Finding
from tests.integration import fleet
from tests.kubectl import Object

SMALL_NODES, LARGE_NODES, PODS_PER_NODE, ROUNDS = 10, 1_000, 8, 5
_MAKERS = (fleet.l4, fleet.h100, fleet.a100_40, fleet.l40s)


def objects(nodes: int) -> tuple[list[Object], list[Object]]:
    """A fleet of four GPU types whose pods hold half of its GPUs."""
    made, pods = [], []
    for index in range(nodes):
        name = f"node-{index:04d}"
        node = _MAKERS[index % len(_MAKERS)](name, count=8)
        node["metadata"].update(uid=name, resourceVersion="1")
        node["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        made.append(trim_node(node))
        for number in range(PODS_PER_NODE):
            limits = {"cpu": "1", "memory": "4Gi"} | ({"nvidia.com/gpu": "1"} if number % 2 else {})
            pod = {
                "metadata": {
                    "namespace": "work",
                    "name": f"{name}-{number}",
                    "uid": f"{name}-{number}",
                    "resourceVersion": "1",
                },
                "spec": {
                    "nodeName": name,
                    "containers": [{"name": "c", "resources": {"requests": limits, "limits": limits}}],
                },
                "status": {"phase": "Running"},
            }
            pods.append(trim_pod(pod))
    return made, pods


def seconds(work: Callable[[], object]) -> float:
    """Median time of a few rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def run() -> list[Finding]:
    """Time one plan, inventory included, on both fleets."""
    catalog, config = load_catalog(()), OperatorConfig()
    spec = GemmaDeploymentSpec()
    times: dict[int, tuple[float, float]] = {}
    for size in (SMALL_NODES, LARGE_NODES):
        nodes, pods = objects(size)
        memo = FactsMemo()

        def cold(nodes: list[Object] = nodes, pods: list[Object] = pods) -> None:
            inventory = build_inventory(nodes=nodes, pods=pods, catalog=catalog, config=config)
            plan(spec=spec, name="a", namespace="b", inventory=inventory, catalog=catalog, config=config)

        def warm(nodes: list[Object] = nodes, pods: list[Object] = pods, memo: FactsMemo = memo) -> None:
            inventory = build_inventory(nodes=nodes, pods=pods, catalog=catalog, config=config, memo=memo)
            plan(spec=spec, name="a", namespace="b", inventory=inventory, catalog=catalog, config=config)

        warm()
        times[size] = (seconds(cold), seconds(warm))
    large, small = times[LARGE_NODES], times[SMALL_NODES]
    how = f"{LARGE_NODES} nodes, {LARGE_NODES * PODS_PER_NODE} pods against {SMALL_NODES} nodes, model: auto"
    return [
        Finding(
            what="plan on a large fleet, as a running operator does",
            figure=f"{large[1] / small[1]:.1f}×",
            aim="far below 100× (the fleet is 100× larger)",
            detail=f"{how}; objects parsed before ({large[1] * 1000:.0f} ms against {small[1] * 1000:.0f} ms here)",
        ),
        Finding(
            what="plan on a large fleet, as the CLI does",
            figure=f"{large[0] / small[0]:.1f}×",
            aim="at most 100×",
            detail=f"{how}; every object parsed anew ({large[0] * 1000:.0f} ms against {small[0] * 1000:.0f} ms here)",
        ),
    ]
