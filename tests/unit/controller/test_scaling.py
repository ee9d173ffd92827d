"""The scaler's clock: routers that answer are asked again in time, whatever another one does."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gemma_operator.cluster.scrape import Scraper
from gemma_operator.controller import scaling
from gemma_operator.reconcile.signals import RouterView
from gemma_operator.reconcile.world import World


def test_a_router_that_does_not_answer_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    silent, other = ("a", "gemma-router"), ("b", "gemma-router")
    begun: dict[Any, int] = {silent: 0, other: 0}
    enough = asyncio.Event()

    async def one_round(world: World, queue: Any, scraper: Scraper, chosen: list[Any]) -> None:
        [subject] = chosen
        begun[subject.router] += 1
        if subject.router == silent:
            await asyncio.Event().wait()
        elif begun[other] == 3:
            enough.set()

    async def run() -> None:
        rounds = asyncio.create_task(
            scaling._rounds(cast(World, None), cast(Any, None), cast(Scraper, None), asleep=True, every=0.0)
        )
        async with asyncio.timeout(30):
            await enough.wait()
        rounds.cancel()
        await asyncio.gather(rounds, return_exceptions=True)

    sleepers = [SimpleNamespace(router=silent), SimpleNamespace(router=other)]
    monkeypatch.setattr(scaling, "subjects", lambda world, asleep: sleepers)
    monkeypatch.setattr(scaling, "one_round", one_round)
    asyncio.run(run())
    assert begun == {silent: 1, other: 3}


def test_an_unexpected_error_of_a_router_ends_no_rounds_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken, other = ("a", "gemma-router"), ("b", "gemma-router")
    seen: list[tuple[Any, RouterView | None]] = []
    enough = asyncio.Event()

    async def read_routers(world: World, scraper: Scraper, routers: Any) -> dict[Any, RouterView]:
        if broken in routers:
            raise OverflowError("cannot convert float infinity to integer")
        return {key: RouterView(deployments={}, silent=0, pods=2) for key in routers}

    async def look(world: World, scraper: Scraper, subject: Any, *, now: float, router: RouterView | None) -> bool:
        seen.append((subject.router, router))
        if [key for key, _ in seen].count(broken) == 2 and other in dict(seen):
            enough.set()
        return False

    async def run() -> None:
        rounds = asyncio.create_task(
            scaling._rounds(cast(World, None), cast(Any, None), cast(Scraper, None), asleep=True, every=0.0)
        )
        try:
            async with asyncio.timeout(30):
                await asyncio.wait([rounds, asyncio.create_task(enough.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert not rounds.done(), rounds
        finally:
            rounds.cancel()
            await asyncio.gather(rounds, return_exceptions=True)

    subjects = [SimpleNamespace(router=broken), SimpleNamespace(router=other)]
    monkeypatch.setattr(scaling, "subjects", lambda world, asleep: subjects)
    monkeypatch.setattr(scaling, "read_routers", read_routers)
    monkeypatch.setattr(scaling, "look", look)
    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert {view for key, view in seen if key == broken} == {None}, "what it holds is unknown, which is not nothing"
    assert all(view is not None for key, view in seen if key == other)
    assert "while reading router a/gemma-router" in caplog.text
