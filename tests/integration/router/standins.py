"""Processes of the engine stand-in, as endpoints of a router."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import engine_standin

from tests.integration.router.fake_engine import ENGINE_KEY
from tests.integration.router.world import free_port

SOURCE = Path(engine_standin.__file__).parent.parent


@dataclass(eq=False)
class StandIn:
    """One process of the engine stand-in; has what `World.put_endpoints` asks for."""

    name: str
    port: int
    process: asyncio.subprocess.Process

    async def healthy(self, session: aiohttp.ClientSession) -> None:
        """Wait until it serves."""
        async with asyncio.timeout(60):
            while True:
                assert self.process.returncode is None
                try:
                    async with session.get(f"http://127.0.0.1:{self.port}/health") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End it at once."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def start(
    name: str,
    deployment: str,
    directory: Path,
    *,
    max_num_seqs: int = 8,
    tokens_per_second: float = 200,
    flags: Sequence[str] = (),
) -> StandIn:
    """Start one that serves `deployment`, with more flags of vLLM. Does not wait for it."""
    port = free_port()
    everything = [
        f"--served-model-name={deployment}",
        "--max-model-len=8192",
        f"--max-num-seqs={max_num_seqs}",
        "--shutdown-timeout=60",
        f"--port={port}",
        *flags,
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE),
        "VLLM_API_KEY": ENGINE_KEY,
        "STANDIN_TOKENS_PER_SECOND": str(tokens_per_second),
    }
    with (directory / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine_standin", "serve", "google/gemma-4-E2B-it", *everything),
            env=environment,
            stdout=log,
            stderr=log,
        )
    return StandIn(name, port, process)
