"""From objects of the API to members: what is kept when something is missing or wrong."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from gemma_router.dispatch import Bounds, Dispatcher
from gemma_router.endpoints import Member
from gemma_router.members import MemberTable
from gemma_router.requests import ClientRequest
from gemma_router.sync import Sync
from gemma_router.unavailable import Unavailable

NAMES = (
    *("endpoints", "ejected", "unsampled", "inFlight"),
    *("held", "heldNoEndpoint", "heldBusy", "oldestHeldSeconds"),
)


def numbers(**known: int) -> dict[str, int]:
    return dict.fromkeys(NAMES, 0) | known


class Backend:
    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.failures = 0

    def upsert(self, deployment: Mapping[str, Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")
        self.ids.add(deployment["model_info"]["id"])

    def delete(self, member_id: str) -> None:
        self.ids.remove(member_id)

    def settings(self, *, aliases: dict[str, str], fallbacks: list[dict[str, list[str]]]) -> None:
        pass


class Setup:
    def __init__(self) -> None:
        self.backend = Backend()
        self.loaded = False

        async def probe(_: Member) -> bool:
            return False

        self.dispatcher = Dispatcher(bounds=Bounds(hold_seconds=30, queue=8, queue_bytes=1000), probe=probe)
        table = MemberTable(self.backend, engine_key="k", timeout=1)
        self.sync = Sync(table=table, dispatcher=self.dispatcher, backend_ready=lambda: self.loaded)

    def routes(self, *names: str) -> None:
        text = json.dumps({"deployments": [{"name": name} for name in names]})
        self.sync.routes_changed({"gemma-router-routes": {"data": {"routes.json": text}}})

    def slices(self, *addresses: str) -> None:
        endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
        labels = {"gemma4stack.dev/deployment": "chat"}
        item = {"metadata": {"labels": labels}, "ports": [{"name": "http", "port": 8000}], "endpoints": endpoints}
        self.sync.slices_changed({"chat-1": item})

    async def until(self, *ids: str) -> None:
        async with asyncio.timeout(20):
            while self.backend.ids != set(ids):  # noqa: ASYNC110  # a set has no event
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def setup() -> AsyncIterator[Setup]:
    made = Setup()
    task = asyncio.create_task(made.sync.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_nothing_is_applied_before_litellm_and_the_routes_are_there(setup: Setup) -> None:
    setup.slices("10.0.0.1")
    setup.loaded = True
    for _ in range(10):
        await asyncio.sleep(0.005)
    assert not setup.sync.applied
    assert setup.backend.ids == set()
    setup.routes("chat")
    await setup.until("chat@hold", "chat@10.0.0.1:8000")
    assert setup.sync.applied
    assert setup.sync.names() == {"chat"}
    assert setup.sync.counts() == {"chat": numbers(endpoints=1, unsampled=1)}


@pytest.mark.parametrize("broken", [{}, {"x": {"data": None}}, {"x": {"data": {"routes.json": "{"}}}])
async def test_missing_or_broken_routes_leave_what_is_served(
    setup: Setup, broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="gemma_router")
    setup.loaded = True
    setup.routes("chat")
    setup.slices("10.0.0.1")
    await setup.until("chat@hold", "chat@10.0.0.1:8000")
    setup.sync.routes_changed(broken)
    setup.slices("10.0.0.2")
    await setup.until("chat@hold", "chat@10.0.0.2:8000")
    assert "routes.json" in caplog.text
    setup.routes()
    await setup.until()
    assert setup.sync.names() == set()


async def test_what_litellm_refused_is_tried_again(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemma_router.sync.RETRY_SECONDS", 0.01)
    setup.backend.failures = 2
    setup.loaded = True
    setup.routes("chat")
    setup.slices("10.0.0.1")
    await setup.until("chat@hold", "chat@10.0.0.1:8000")
    assert setup.backend.failures == 0


async def test_requests_on_an_endpoint_that_left_still_count(setup: Setup) -> None:
    setup.loaded = True
    setup.routes("chat")
    setup.slices("10.0.0.1")
    await setup.until("chat@hold", "chat@10.0.0.1:8000")
    setup.dispatcher.in_flight.open("request", "chat@10.0.0.1:8000")
    setup.slices()
    await setup.until("chat@hold")
    assert setup.sync.counts()["chat"] == numbers(inFlight=1)


async def test_waiting_requests_of_a_removed_deployment_are_given_up(setup: Setup) -> None:
    setup.loaded = True
    setup.routes("chat")
    await setup.until("chat@hold")
    waiting = asyncio.create_task(setup.dispatcher.pick("chat", ClientRequest("me")))
    async with asyncio.timeout(20):
        while not setup.dispatcher.waiting("chat"):  # noqa: ASYNC110  # a count has no event
            await asyncio.sleep(0)
    assert setup.sync.counts()["chat"] == numbers(held=1, heldNoEndpoint=1)
    setup.routes()
    with pytest.raises(Unavailable, match="'chat' was removed"):
        await waiting
