"""The scaler's clock: routers that answer are asked again in time, whatever another one does."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gemma_operator.cluster.scrape import Scraper
from gemma_operator.controller import scaling
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
