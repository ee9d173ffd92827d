"""The scaler's look at one deployment: reports of faked engines and routers in, a bounded target out."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, cast

import pytest
from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, NODES, PODS
from gemma_operator.cluster.scrape import EngineReport, RouterReport, Scraper
from gemma_operator.controller.manager import make_stores
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.types import Plan
from gemma_operator.reconcile import ages, scaler, signals
from gemma_operator.reconcile.ages import Ages
from gemma_operator.reconcile.events import EventRecorder
from gemma_operator.reconcile.kept import with_plan
from gemma_operator.reconcile.planning import inventory
from gemma_operator.reconcile.scaler import look, subjects
from gemma_operator.reconcile.signals import RouterView
from gemma_operator.reconcile.world import World

from tests.unit.inventory.builders import affinity, node, pod
from tests.unit.planner.builders import CATALOG, inventory_of, plan_on, spec_of

BUSY = EngineReport(
    running=2,
    waiting=40,
    kv_usage=0.9,
    completions=10,
    generation_tokens=1000,
    prompt_tokens=1000,
    cached_tokens=0,
    steps=1000,
)
IDLE = EngineReport(
    running=0,
    waiting=0,
    kv_usage=0.0,
    completions=10,
    generation_tokens=1000,
    prompt_tokens=1000,
    cached_tokens=0,
    steps=1000,
)


class FakeScraper:
    """Engines that answer what the test says, or nothing."""

    def __init__(self) -> None:
        self.report: EngineReport | None = BUSY

    async def engine(self, address: str, *, port: int) -> EngineReport | None:
        assert port == names.ENGINE_PORT
        return self.report

    async def router(self, address: str, *, port: int) -> dict[str, RouterReport] | None:
        raise AssertionError("routers are read before")


class FakeClient:
    """An API server that takes every patch and has no events."""

    def __init__(self) -> None:
        self.patched: list[tuple[str, Any]] = []

    async def patch(self, resource: Any, *, name: str, namespace: str, body: Any) -> None:
        self.patched.append((name, body))

    async def list(self, resource: Any, **_: Any) -> tuple[list[Any], str]:
        return [], "1"


class Cluster:
    """One deployment on two nodes with L4s, and the clock of its scaler."""

    def __init__(self, *, gpus: int = 3, running: int = 1, loading: int = 0, **spec: Any) -> None:
        self.now = 1000.0
        self._id = uuid.uuid4().hex
        self.scraper = FakeScraper()
        self.client = FakeClient()
        self.held: int | None = 0
        self.world = World(
            client=cast(Client, self.client),
            config=OperatorConfig(),
            catalog=CATALOG,
            events=EventRecorder(cast(Client, self.client), instance="test"),
            stores=make_stores(OperatorConfig()),
            operator_namespace="gemma-system",
            router_code={},
        )
        wanted = {"model": "e4b", "precision": "bf16", **spec}
        nodes = [node("a", gpus=gpus)]
        pool = plan_on(inventory_of(*nodes), namespace="default", **wanted).pools[0]
        self._affinity = affinity([dict(term) for term in pool.node_selector_terms])
        self._put(NODES, nodes[0])
        self._put(
            GEMMA_DEPLOYMENTS,
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "metadata": self._metadata("chat", generation=1),
                "spec": wanted,
            },
        )
        manifest = {
            "kind": "Deployment",
            "metadata": self._metadata("chat-0", generation=1),
            "spec": {"replicas": running + loading},
        }
        plan = Plan(pools=(pool,), reason="it fits")
        self._put(DEPLOYMENTS, with_plan(manifest, spec=spec_of(**wanted), pool=pool, plan=plan))
        for number in range(running):
            self.add_pod(f"chat-0-{number}")
        for number in range(loading):
            self.add_pod(f"chat-0-loading-{number}", ready=False)

    def add_pod(self, name: str, *, ready: bool = True) -> None:
        made = pod(name, on="a", gpus=1, deployment="chat", affinity=self._affinity)
        made["metadata"] |= self._metadata(name)
        made["status"] = {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "containerStatuses": [{"name": "engine", "started": ready, "restartCount": 0}],
            "conditions": [
                {
                    "type": "Ready",
                    "status": str(ready),
                    "lastTransitionTime": datetime.now(UTC).isoformat(),
                }
            ],
        }
        self._put(PODS, made)

    def look(self, *, times: int = 1) -> bool:
        """So many looks, five seconds apart; whether the last one wants a reconcile."""
        wanted = False
        for _ in range(times):
            self.now += 5
            [subject] = subjects(self.world)
            counts = {} if self.held is None else {"chat": RouterReport(in_flight=0, held=self.held)}
            view = RouterView(deployments=counts, silent=int(self.held is None), pods=1)
            scraper = cast(Scraper, self.scraper)
            wanted = asyncio.run(look(self.world, scraper, subject, now=self.now, router=view))
        return wanted

    @property
    def scaler(self) -> Any:
        return self.world.scalers["default", "chat"]

    def _put(self, resource: Any, obj: dict[str, Any]) -> None:
        obj["metadata"].setdefault("resourceVersion", "1")
        self.world.stores[resource].upsert(obj)

    def _metadata(self, name: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "namespace": "default",
            "uid": f"{self._id}-{name}",
            "creationTimestamp": datetime.now(UTC).isoformat(),
            "labels": {
                names.MANAGED_BY_LABEL: names.MANAGER,
                names.DEPLOYMENT_LABEL: "chat",
                names.POOL_LABEL: "0",
            },
            **more,
        }


def set_clock(monkeypatch: pytest.MonkeyPatch, *, hours: float) -> None:
    """Set the wall clock of what decides."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # not of this class
            return datetime.now(tz) + timedelta(hours=hours)

    for module in (ages, scaler):
        monkeypatch.setattr(module, "datetime", Shifted)


def test_a_lasting_queue_grows_as_far_as_gpus_go_and_promises_them() -> None:
    cluster = Cluster(gpus=3, scaling={"max": 8})
    cluster.look(times=40)
    assert cluster.scaler.target == 3, cluster.scaler.decisions
    assert cluster.world.promises["default", "chat"][0].replicas == 3
    assert cluster.scaler.limit == "no more free l4"
    assert cluster.scaler.wished > 3
    assert (cluster.scaler.queue.running, cluster.scaler.queue.waiting) == (2, 40)


def test_the_cost_cap_bounds_and_is_named() -> None:
    price = plan_on(inventory_of(node("a")), model="e4b", precision="bf16").pools[0].cost_per_hour
    assert price is not None
    cluster = Cluster(gpus=4, scaling={"max": 8}, maxCostPerHour=2 * price)
    cluster.look(times=40)
    assert cluster.scaler.target == 2
    assert cluster.scaler.limit == "maxCostPerHour allows 2"


def test_silence_changes_nothing_and_is_told() -> None:
    cluster = Cluster(gpus=3)
    cluster.scraper.report = None
    assert cluster.look()
    assert cluster.scaler.target == 1
    assert "no fresh metrics" in cluster.scaler.blind
    cluster.scraper.report = IDLE
    assert cluster.look()
    assert cluster.scaler.blind == ""


def test_it_sleeps_when_idle_and_wakes_for_one_held_request() -> None:
    cluster = Cluster(gpus=1, scaling={"min": 0, "idleBefore0": "30s"})
    cluster.scraper.report = IDLE
    cluster.look(times=20)
    assert cluster.scaler.target == 0
    awake = Cluster(gpus=1, running=0, scaling={"min": 0})
    awake.look()
    assert awake.scaler.target == 0
    awake.held = 1
    assert awake.look(), "the first look with a held request decides"
    assert awake.scaler.target == 1
    assert awake.scaler.decisions[0][1].before == 0


def test_a_silent_router_keeps_it_awake() -> None:
    cluster = Cluster(gpus=1, scaling={"min": 0, "idleBefore0": "30s"})
    cluster.scraper.report, cluster.held = IDLE, None
    cluster.look(times=20)
    assert cluster.scaler.target == 1


def test_a_sleeper_without_a_free_gpu_asks_for_another_plan() -> None:
    cluster = Cluster(gpus=1, running=0, scaling={"min": 0})
    theirs = pod("theirs", on="a", gpus=1)
    theirs["metadata"] |= {"uid": "theirs", "resourceVersion": "1"}
    cluster.world.stores[PODS].upsert(theirs)
    cluster.held = 2
    cluster.look()
    assert cluster.scaler.asleep_without_room
    assert cluster.scaler.target == 1


def test_who_leaves_first_is_marked() -> None:
    cluster = Cluster(gpus=3, running=3, scaling={"min": 0, "idleBefore0": "30s"})
    cluster.scraper.report = IDLE
    cluster.look(times=20)
    assert cluster.scaler.target == 0
    assert {name for name, _ in cluster.client.patched} == {"chat-0-0", "chat-0-1", "chat-0-2"}


@pytest.mark.parametrize("spec", [{"replicas": 2}, {"replicas": 1, "scaling": {"mode": "external"}}])
def test_a_number_of_somebody_else_is_left_alone(spec: dict[str, Any]) -> None:
    cluster = Cluster(gpus=3, **spec)
    cluster.look(times=40)
    assert cluster.scaler.target is None
    assert not cluster.scaler.decisions
    assert cluster.scaler.queue.waiting == 40, "the queue is shown all the same"


@pytest.mark.parametrize("hours", [-3, 3])
def test_replicas_that_load_are_no_older_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Three hours old they would count as stuck, and be ordered once more."""
    cluster = Cluster(gpus=8, running=1, loading=2, scaling={"max": 8})
    cluster.scraper.report = IDLE
    cluster.look(times=4)
    set_clock(monkeypatch, hours=hours)
    cluster.add_pod("chat-0-late", ready=False)
    cluster.look(times=8)
    assert cluster.scaler.target == 3
    assert not cluster.scaler.decisions


def test_the_queue_is_shown_when_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.scraper.report = IDLE
    cluster.look(times=2)
    assert cluster.scaler.queue.waiting == 0
    set_clock(monkeypatch, hours=-3)
    cluster.scraper.report = BUSY
    cluster.look(times=8)
    assert cluster.scaler.queue.waiting == 40


def test_since_when_a_pod_is_ready_is_told_on_the_clock_of_its_sample() -> None:
    """What a pod that was Ready for long counted before it was first read is no burst of requests."""
    cluster = Cluster()
    [made] = cluster.world.stores[PODS]
    made["status"]["conditions"][0]["lastTransitionTime"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    seen = Ages()
    seen.look(50.0)
    [sample] = asyncio.run(signals.read_engines(cast(Scraper, cluster.scraper), [made], at=50.0, ages=seen))
    assert sample.ready_at == pytest.approx(50 - 3600, abs=5)


def test_an_inventory_is_built_once_until_the_cluster_or_a_promise_changes() -> None:
    cluster = Cluster(gpus=3)

    def stock() -> Inventory:
        return asyncio.run(inventory(cluster.world))

    first = stock()
    assert stock() is first
    [subject] = subjects(cluster.world)
    cluster.world.promises["default", "other"] = (replace(subject.pool, replicas=2),)
    promised = stock()
    [free] = [each.free.devices["nvidia.com/gpu"] for each in promised.nodes]
    assert free == 0
    cluster.add_pod("chat-0-more")
    assert stock() is not promised
