"""An engine stand-in inside the test's own event loop: no process, no port, time scaled by its speed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from engine_standin.config import EngineConfig, build_config
from engine_standin.flags import parse
from engine_standin.frontend import Frontend
from engine_standin.logs import EngineLog
from engine_standin.moods import parse_moods
from engine_standin.server import make_app, make_frontend
from engine_standin.settings import read_settings

MODEL = "google/gemma-4-E2B-it"
PARSERS = ("--enable-auto-tool-choice", "--tool-call-parser=gemma4", "--reasoning-parser=gemma4")


@dataclass(frozen=True, slots=True)
class Standin:
    """A running stand-in and a client for it."""

    client: Any
    frontend: Frontend

    async def chat(self, text: str = "hello", **fields: Any) -> ClientResponse:
        messages = fields.pop("messages", [{"role": "user", "content": text}])
        body = {"messages": messages, **fields}
        response: ClientResponse = await self.client.post("/v1/chat/completions", json=body)
        return response

    async def events(self, text: str = "hello", **fields: Any) -> list[Any]:
        """Stream a chat to its end; the last item is the text `[DONE]` when it came."""
        response = await self.chat(text, stream=True, **fields)
        return events_of(await response.text())

    async def until(self, condition: Callable[[], bool], *, seconds: float = 10) -> None:
        """Wait for a condition; a test fails when it does not come true."""
        async with asyncio.timeout(seconds):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.005)


def events_of(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


Start = Callable[..., Awaitable[Standin]]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of an engine container: a home that can be written."""
    return {"HOME": str(tmp_path)}


@pytest.fixture
def configured(home: dict[str, str]) -> Callable[..., EngineConfig]:
    """Make a configuration from flags and STANDIN_… variables."""

    def make(*flags: str, model: str = MODEL, **env: str) -> EngineConfig:
        everything = {**home, **env}
        return build_config(parse([model, *flags]), read_settings(everything), env=everything)

    return make


@pytest.fixture
async def start(configured: Callable[..., EngineConfig]) -> AsyncIterator[Start]:
    """Start stand-ins that end with the test; fast unless a speed is given."""
    async with AsyncExitStack() as stack:

        async def run(*flags: str, mood: str = "", model: str = MODEL, **env: str) -> Standin:
            fast = {"STANDIN_TOKENS_PER_SECOND": "2000", "STANDIN_PREFILL_TOKENS_PER_SECOND": "1000000"}
            flags = (*flags, "--max-num-batched-tokens=4096")
            config = configured(*flags, model=model, **{**fast, **env})
            return await stack.enter_async_context(_running(config, mood))

        yield run


@asynccontextmanager
async def _running(config: EngineConfig, mood: str) -> AsyncIterator[Standin]:
    frontend = make_frontend(config, moods=parse_moods(mood), log=EngineLog(StringIO()))
    loop = asyncio.create_task(frontend.engine.run())
    server = TestServer(make_app(frontend), handler_cancellation=True)
    async with TestClient(server) as client:
        yield Standin(client, frontend)
        frontend.engine.kill()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


def gauge(text: str, name: str, **labels: str) -> float:
    """Return the value of one sample of a scrape."""
    for line in text.splitlines():
        if line.split("{")[0] == name and all(f'{key}="{value}"' in line for key, value in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no sample {name} {labels}")
