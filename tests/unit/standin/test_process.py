"""The process: start, signals, exit codes. Every wait has a deadline."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.unit.standin.conftest import MODEL, events_of

SOURCE = Path(__file__).resolve().parents[2] / "standin"


@dataclass(slots=True)
class Run:
    process: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession

    async def healthy(self) -> None:
        async with asyncio.timeout(30):
            while True:
                assert self.process.returncode is None, (await self.output())[-2000:]
                try:
                    async with self.session.get(f"{self.url}/health") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.02)

    async def chat(self, **fields: Any) -> aiohttp.ClientResponse:
        body = {"messages": [{"role": "user", "content": "hello"}], "ignore_eos": True, **fields}
        return await self.session.post(f"{self.url}/v1/chat/completions", json=body)

    async def refuses_connections(self) -> None:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", int(self.url.rpartition(":")[2]))
                except ConnectionRefusedError:
                    return
                except OSError:
                    # Accepted by a socket that closed in this moment.
                    continue
                writer.close()
                await asyncio.sleep(0.02)

    async def output(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            return (await self.process.stdout.read()).decode()

    async def ended(self) -> int:
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def running(home: Path, *flags: str, **env: str) -> AsyncIterator[Run]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(home), **env}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine_standin",
        MODEL,
        "--host=127.0.0.1",
        f"--port={port}",
        "--max-num-batched-tokens=4096",
        "--max-model-len=8192",
        *flags,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with aiohttp.ClientSession() as session:
        try:
            yield Run(process, f"http://127.0.0.1:{port}", session)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_drain_lets_streams_end_and_takes_nothing_new(tmp_path: Path) -> None:
    async with running(tmp_path, "--shutdown-timeout=30", STANDIN_TOKENS_PER_SECOND="40") as run:
        await run.healthy()
        stream = await run.chat(stream=True, max_tokens=60, stream_options={"include_usage": True})
        await stream.content.readline()
        run.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while True:
                refused = await run.chat(max_tokens=1)
                if refused.status != 200:
                    break
        assert refused.status == 500
        assert (await refused.json())["error"]["message"] == "cannot schedule new futures after shutdown"
        async with run.session.get(f"{run.url}/health") as health:
            assert health.status == 200
        events = events_of(await stream.text())
        assert events[-1] == "[DONE]"
        assert events[-2]["usage"]["completion_tokens"] == 60
        assert await run.ended() == 0
        text = await run.output()
        assert "[shutdown] API server: stopping engine client mode=drain timeout=30s" in text
        assert "[shutdown] EngineCore: draining in-flight requests count=1 timeout=30s" in text


@pytest.mark.parametrize("limit", ["0", "1"])
async def test_streams_that_last_too_long_end_with_an_error(tmp_path: Path, limit: str) -> None:
    flag = f"--shutdown-timeout={limit}"
    async with running(tmp_path, flag, STANDIN_TOKENS_PER_SECOND="20") as run:
        await run.healthy()
        stream = await run.chat(stream=True, max_tokens=8000)
        await stream.content.readline()
        run.process.send_signal(signal.SIGTERM)
        events = events_of(await stream.text())
        assert events[-1] == "[DONE]"
        assert events[-2]["error"]["code"] == 500
        assert events[-2]["error"]["message"].startswith("EngineCore encountered an issue.")
        assert await run.ended() == 0


async def test_streams_may_fall_silent_until_their_clients_give_up(tmp_path: Path) -> None:
    env = {"STANDIN_TOKENS_PER_SECOND": "20", "STANDIN_MOOD": "hang-at-shutdown"}
    async with running(tmp_path, **env) as run:
        await run.healthy()
        stream = await run.chat(stream=True, max_tokens=8000)
        await stream.content.readline()
        run.process.send_signal(signal.SIGTERM)
        await run.refuses_connections()
        assert run.process.returncode is None
        assert not stream.content.at_eof()
        stream.close()
        assert await run.ended() == 0


async def test_a_dead_engine_takes_the_server_with_it(tmp_path: Path) -> None:
    async with running(tmp_path, STANDIN_TOKENS_PER_SECOND="20", STANDIN_MOOD="die-after:1") as run:
        await run.healthy()
        stream = await run.chat(stream=True, max_tokens=8000)
        events = events_of(await stream.text())
        assert events[-2]["error"]["message"].startswith("EngineCore encountered an issue.")
        assert await run.ended() == 0
        text = await run.output()
        assert "EngineCore encountered a fatal error." in text
        assert "torch.OutOfMemoryError: CUDA out of memory." in text


async def test_port_opens_only_after_the_start(tmp_path: Path) -> None:
    async with running(tmp_path, STANDIN_STARTUP_SECONDS="600") as run:
        assert run.process.stdout is not None
        async with asyncio.timeout(30):
            while b"Starting to load model" not in await run.process.stdout.readline():
                pass
        with pytest.raises(aiohttp.ClientConnectionError):
            await run.session.get(f"{run.url}/health")
        run.process.send_signal(signal.SIGTERM)
        assert await run.ended() != 0


@pytest.mark.parametrize(
    ("env", "flag", "code", "words"),
    [
        ({"STANDIN_MOOD": "gated"}, "--port=1", 1, "You are trying to access a gated repo."),
        ({"STANDIN_MOOD": "host-oom"}, "--port=1", 137, "Resolved architecture"),
        ({"STANDIN_KV_TOKENS": "100"}, "--port=1", 1, "RuntimeError: Engine core initialization failed."),
        ({"STANDIN_MOOD": "sad"}, "--port=1", 2, "no mood 'sad'"),
        ({}, "--no-such-flag", 2, "vllm: error: unrecognized arguments: --no-such-flag"),
    ],
)
async def test_failing_starts(tmp_path: Path, env: dict[str, str], flag: str, code: int, words: str) -> None:
    async with running(tmp_path, flag, **env) as run:
        assert await run.ended() == code
        assert words in await run.output()
