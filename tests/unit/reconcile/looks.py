"""One deployment on nodes with L4s, with faked engines and routers, and the clock of its scaler."""

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
from gemma_operator.planner.types import Plan
from gemma_operator.reconcile import ages, scaler
from gemma_operator.reconcile.events import EventRecorder
from gemma_operator.reconcile.kept import with_plan
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
IDLE = replace(BUSY, running=0, waiting=0, kv_usage=0.0)


class FakeScraper:
    """Engines that answer what the test says, or nothing."""

    def __init__(self) -> None:
        self.report: EngineReport | None = BUSY

    async def engine(self, address: str, *, port: int) -> EngineReport | None:
        assert port == names.ENGINE_PORT
        return self.report

    async def router(self, address: str, *, port: int) -> dict[str, RouterReport] | None:
        raise AssertionError("routers are read before")


class AnsweringRouters:
    """Router pods that all report the same."""

    def __init__(self, reports: dict[str, RouterReport]) -> None:
        self.reports = reports

    async def router(self, address: str, *, port: int) -> dict[str, RouterReport]:
        return self.reports


class FakeClient:
    """An API server that takes every patch and has the events that the test says."""

    def __init__(self) -> None:
        self.patched: list[tuple[str, Any]] = []
        self.events: list[dict[str, Any]] = []

    async def patch(self, resource: Any, *, name: str, namespace: str, body: Any) -> None:
        self.patched.append((name, body))

    async def list(self, resource: Any, **_: Any) -> tuple[list[Any], str]:
        return self.events, "1"


class Cluster:
    """One deployment on two nodes with L4s, and the clock of its scaler."""

    def __init__(
        self, *, gpus: int = 3, running: int = 1, loading: int = 0, status: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        self.now = 1000.0
        self._id = uuid.uuid4().hex
        self.scraper = FakeScraper()
        self.client = FakeClient()
        self.held: int | None = 0
        self.silent = 0
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
                "status": status or {},
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

    def change(self, spec: dict[str, Any]) -> None:
        """Another spec of the GemmaDeployment."""
        [obj] = self.world.stores[GEMMA_DEPLOYMENTS]
        metadata = {**obj["metadata"], "generation": 2, "resourceVersion": "2"}
        self.world.stores[GEMMA_DEPLOYMENTS].upsert({**obj, "metadata": metadata, "spec": spec})

    def ask_for(self, replicas: int) -> None:
        """Have the Deployment ask for so many, as a reconcile would after a decision."""
        [deployment] = self.world.stores[DEPLOYMENTS]
        deployment["spec"]["replicas"] = replicas

    def add_router_pod(self, name: str, *, ready: bool) -> None:
        """A router's pod; one that is not Ready drains."""
        made = pod(name, on="a")
        made["metadata"] |= self._metadata(name)
        made["metadata"]["labels"] = {names.MANAGED_BY_LABEL: names.MANAGER, names.ROUTER_LABEL: "gemma-router"}
        made["status"] = {
            "phase": "Running",
            "podIP": "10.0.0.2",
            "containerStatuses": [{"name": "router", "started": True, "restartCount": 0}],
            "conditions": [
                {"type": "Ready", "status": str(ready), "lastTransitionTime": datetime.now(UTC).isoformat()}
            ],
        }
        self._put(PODS, made)

    def add_pod(self, name: str, *, ready: bool = True, placed: bool = True) -> None:
        """An engine's pod; one that is not placed finds no node."""
        made = pod(name, on="a" if placed else "", gpus=1, deployment="chat", affinity=self._affinity)
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
        if not placed:
            since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
            made["status"] = {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "lastTransitionTime": since}],
            }
        self._put(PODS, made)

    def look(self, *, times: int = 1) -> bool:
        """So many looks, five seconds apart; whether the last one wants a reconcile."""
        wanted = False
        for _ in range(times):
            self.now += 5
            [subject] = subjects(self.world)
            counts = {} if self.held is None else {"chat": RouterReport(in_flight=0, held=self.held)}
            silent = self.silent or int(self.held is None)
            view = RouterView(deployments=counts, silent=silent, pods=1 + self.silent)
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
