"""What is watched where: nothing that the operator may not read."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.catalog.load import load_catalog
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.resources import GEMMA_DEPLOYMENTS, NODES, OWNED, PODS, QUOTAS, Object, Resource
from gemma_operator.controller import manager as manager_module
from gemma_operator.controller.manager import Manager, by_scope
from gemma_operator.reconcile.planning import PLANNED_FROM

STATIC = {"source": "static", "nodes": [{"accelerator": "l4", "gpusPerNode": 8, "nodes": 1, "labels": {"gpu": "l4"}}]}
SERVED = {GEMMA_DEPLOYMENTS, QUOTAS, *OWNED}
TEAMS = ("team-a", "team-b")


class Lists:
    """Answers every LIST with nothing, and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: set[tuple[Resource, str | None]] = set()

    async def list(self, resource: Resource, *, namespace: str | None = None, **_: Any) -> tuple[list[Object], str]:
        self.asked.add((resource, namespace))
        return [], "1"


def manager(client: Lists, **config: Any) -> Manager:
    return Manager(
        client=cast(Client, client),
        config=OperatorConfig.model_validate(config),
        catalog=load_catalog(()),
        namespace="gemma-system",
        code={},
    )


def everything(resources: Iterable[Resource], scopes: Iterable[str | None]) -> set[tuple[Resource, str | None]]:
    return {(resource, scope) for resource in resources for scope in scopes}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, everything({NODES, PODS, *SERVED}, [None])),
        ({"inventory": STATIC}, everything({PODS, *SERVED}, [None])),
        ({"namespaces": TEAMS}, everything({NODES, PODS}, [None]) | everything(SERVED, TEAMS)),
        ({"namespaces": TEAMS, "inventory": STATIC}, everything({PODS, *SERVED}, TEAMS)),
    ],
)
async def test_what_is_listed_is_what_is_watched(
    config: dict[str, Any], expected: set[tuple[Resource, str | None]]
) -> None:
    client = Lists()
    made = manager(client, **config)
    await made.relist()
    assert client.asked == expected
    watched = {
        (store.resource, namespace)
        for namespaces, stores in by_scope(made.filled).items()
        for store in stores
        for namespace in namespaces or [None]
    }
    assert watched == expected


async def test_whoever_waits_for_gpus_does_not_wait_for_a_deletion_that_a_watch_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manager_module, "WAITING_RELIST_SECONDS", 0.01)
    client = Lists()
    made = manager(client)
    made.leads = made.intake.queues = True
    metadata = {"name": "gone", "namespace": "default", "uid": "gone", "resourceVersion": "1"}
    pods = made.world.stores[PODS]
    pods.upsert({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "a"}})
    task = asyncio.create_task(made._recheck())
    await asyncio.sleep(0.1)
    assert len(pods) == 1, "nobody waits"
    made.world.blocked.add(("default", "waiter"))
    async with asyncio.timeout(10):
        assert await made.deployments.get() == ("default", "waiter")
    assert len(pods) == 0
    assert client.asked == everything(PLANNED_FROM, [None])
    task.cancel()


def test_pods_of_other_namespaces_take_gpus_and_are_nobodys_replicas() -> None:
    made = manager(Lists(), namespaces=TEAMS)
    made.intake.queues = True
    for namespace in ("team-a", "elsewhere"):
        labels = {"gemma4stack.dev/deployment": "chat", "app.kubernetes.io/managed-by": "gemma-operator"}
        metadata = {"name": "p", "namespace": namespace, "uid": namespace, "resourceVersion": "1", "labels": labels}
        made.intake.take(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}, False)
    assert len(made.world.stores[PODS]) == 2
    assert len(made.deployments) == 1
