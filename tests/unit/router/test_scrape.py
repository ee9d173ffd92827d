"""Reading engines' metrics over HTTP on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from gemma_router import scrape
from gemma_router.endpoints import Member
from gemma_router.load import Sample
from gemma_router.scrape import Scraper

REPORT = "vllm:num_requests_running 3.0\nvllm:num_requests_waiting 2.0\nvllm:kv_cache_usage_perc 0.5\n"


@dataclass
class Setup:
    session: aiohttp.ClientSession
    port: int = 0
    status: int = 200
    text: str = REPORT
    asked: list[str] = field(default_factory=list)
    samples: list[tuple[str, Sample]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    own: int = 0
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    inside: int = 0
    most: int = 0

    def scraper(self) -> Scraper:
        return Scraper(
            session=self.session,
            engine_key="key",
            own=lambda _: self.own,
            sampled=lambda member_id, sample: self.samples.append((member_id, sample)),
            refused=self.refused.append,
        )

    async def metrics(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("Authorization", ""))
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.answering.wait()
        self.inside -= 1
        return web.Response(status=self.status, text=self.text)


async def until(condition: str, made: Setup, count: int) -> None:
    async with asyncio.timeout(20):
        while len(getattr(made, condition)) < count:  # noqa: ASYNC110  # a list has no event
            await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def setup(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setup]:
    monkeypatch.setattr(scrape, "EVERY_SECONDS", 0.01)
    async with aiohttp.ClientSession() as session:
        made = Setup(session)
        made.answering.set()
        app = web.Application()
        app.router.add_get("/metrics", made.metrics)
        runner = web.AppRunner(app, handle_signals=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.port = runner.addresses[0][1]
        yield made
        made.answering.set()
        await runner.cleanup()


def member(port: int, name: str = "chat", pod: str = "") -> Member:
    return Member(name, "127.0.0.1", port, pod)


async def test_a_member_is_read_at_once_and_again_with_the_engines_key(setup: Setup) -> None:
    it, scraper = member(setup.port), setup.scraper()
    setup.own = 4
    scraper.replace({it.id: it})
    await until("samples", setup, 3)
    scraper.replace({})
    assert setup.asked[0] == "Bearer key"
    member_id, sample = setup.samples[0]
    assert (member_id, sample.running, sample.waiting, sample.kv, sample.own) == (it.id, 3, 2, 0.5, 4)


async def test_a_request_that_ends_during_the_scrape_counts_as_own(setup: Setup) -> None:
    it, scraper = member(setup.port), setup.scraper()
    setup.own = 4
    setup.answering.clear()
    scraper.replace({it.id: it})
    await until("asked", setup, 1)
    setup.own = 1
    setup.answering.set()
    await until("samples", setup, 1)
    scraper.replace({})
    assert setup.samples[0][1].own == 4


async def test_what_left_is_read_no_more_and_another_pod_anew(setup: Setup) -> None:
    old, new = member(setup.port, pod="old"), member(setup.port, pod="new")
    scraper = setup.scraper()
    scraper.replace({old.id: old})
    await until("samples", setup, 1)
    scraper.replace({new.id: new})
    tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("metrics of")]
    await asyncio.sleep(0)
    assert [task.done() for task in tasks].count(False) == 1
    scraper.replace({})
    await asyncio.sleep(0)
    assert all(task.done() for task in tasks)


@pytest.mark.parametrize(("status", "text"), [(404, ""), (200, "ollama_requests 1\n")])
async def test_an_engine_without_such_metrics_gives_no_sample_and_is_told_of_once(
    setup: Setup, status: int, text: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.status, setup.text = status, text
    scraper, it = setup.scraper(), member(setup.port)
    scraper.replace({it.id: it})
    await until("asked", setup, 2 * scrape.FAILURES_TO_TELL)
    scraper.replace({})
    assert setup.samples == []
    assert caplog.text.count(f"metrics of {it.id} cannot be read") == 1


async def test_a_refused_connection_is_told(setup: Setup, unused_tcp_port: int) -> None:
    scraper, it = setup.scraper(), member(unused_tcp_port)
    scraper.replace({it.id: it})
    await until("refused", setup, 1)
    scraper.replace({})
    assert setup.refused[0] == it.id


async def test_an_address_where_nothing_answers_is_told(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full backlog: the kernel answers no further attempt to connect, as if there were no node."""
    monkeypatch.setattr(scrape, "TIMEOUT", aiohttp.ClientTimeout(total=2, sock_connect=0.05))
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        scraper, it = setup.scraper(), member(listener.getsockname()[1])
        scraper.replace({it.id: it})
        await until("refused", setup, 1)
        scraper.replace({})
    assert setup.refused[0] == it.id


async def test_a_busy_engine_that_answers_late_is_not_taken_for_a_lost_one(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "TIMEOUT", aiohttp.ClientTimeout(total=0.05, sock_connect=0.04))
    setup.answering.clear()
    scraper, it = setup.scraper(), member(setup.port)
    scraper.replace({it.id: it})
    await until("asked", setup, 2 * scrape.SILENCES_TO_REFUSE)
    scraper.replace({})
    assert setup.refused == []


async def test_scrapes_are_bounded(setup: Setup) -> None:
    setup.answering.clear()
    scraper = setup.scraper()
    members = [member(setup.port, f"chat-{index}") for index in range(scrape.AT_ONCE + 5)]
    scraper.replace({it.id: it for it in members})
    await until("asked", setup, scrape.AT_ONCE)
    setup.answering.set()
    await until("samples", setup, len(members))
    scraper.replace({})
    assert setup.most == scrape.AT_ONCE
