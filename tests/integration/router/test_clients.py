"""The programs of examples/clients as processes, against the real LiteLLM and engine stand-ins behind it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import litellm_venv
import pytest
import pytest_asyncio

from tests import media
from tests.integration.router import standins
from tests.integration.router.world import World
from tests.unit.examples.golden import EXAMPLES

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLIENTS = EXAMPLES / "clients"
MODEL = "helper"
PARSERS = ("--enable-auto-tool-choice", "--tool-call-parser=gemma4", "--reasoning-parser=gemma4")
MEDIA = '--limit-mm-per-prompt={"image": 4, "audio": 1}'


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client printed."""

    text: str
    notes: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """One engine of E2B, with the flags that features ask for, behind the router."""
    directory = tmp_path_factory.mktemp("clients")
    engine = await standins.start("clients", MODEL, directory, flags=(*PARSERS, MEDIA))
    try:
        await engine.healthy(world.http)
        world.add_deployment(MODEL)
        world.put_endpoints(MODEL, [engine])
        await world.until_state(MODEL, endpoints=1)
        yield
    finally:
        world.remove_deployment(MODEL)
        await engine.stop()


async def run(world: World, program: str, *arguments: str | Path, python: str | Path = sys.executable) -> Answer:
    """Run a client with nothing but the router's address and a key."""
    process = await asyncio.create_subprocess_exec(
        python,
        CLIENTS / program,
        MODEL,
        *arguments,
        env={"PATH": os.environ["PATH"], "OPENAI_BASE_URL": f"{world.url}/v1", "OPENAI_API_KEY": world.client_key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        text, notes = await process.communicate()
    assert process.returncode == 0, notes.decode()
    return Answer(text=text.decode().strip(), notes=notes.decode())


def prompt_tokens(answer: Answer) -> int:
    """What the engine counted."""
    [count] = re.findall(r"prompt tokens: (\d+)", answer.notes)
    return int(count)


async def test_the_agent_calls_a_tool_and_answers_with_its_result(world: World, served: None) -> None:
    """The stand-in calls a tool whose name is in the question, and repeats what the tool said."""
    answer = await run(world, "agent.py", "What is the local time?")
    [result] = re.findall(r"^local_time\(.*\) = (\d\d:\d\d in Europe/Berlin)$", answer.notes, flags=re.MULTILINE)
    assert f"{result} (from a tool)" in answer.text


async def test_the_agent_answers_without_a_tool(world: World, served: None) -> None:
    answer = await run(world, "agent.py", "Hello")
    assert "Hello" in answer.text
    assert not answer.notes


async def test_the_agent_calls_tools_of_an_mcp_server(world: World, served: None) -> None:
    """With the Python of the router, whose lock has the MCP library."""
    question = "Please count words."
    answer = await run(world, "mcp_agent.py", question, python=litellm_venv.ensure())
    assert 'count_words({"text": "text"}) = 1 words' in answer.notes
    assert "1 words (from a tool)" in answer.text


async def test_images_and_sounds_reach_the_engine(world: World, served: None, tmp_path: Path) -> None:
    picture, sound = media.pixel(tmp_path), media.silence(tmp_path)
    alone = await run(world, "multimodal.py", "What is this?")
    seen = await run(world, "multimodal.py", "What is this?", "--image", picture, "--image", picture)
    heard = await run(world, "multimodal.py", "What is this?", "--image", picture, "--audio", sound)
    assert "What is this?" in seen.text
    one = (prompt_tokens(seen) - prompt_tokens(alone)) // 2
    assert one > 200, "an image is some 280 tokens"
    assert prompt_tokens(heard) > prompt_tokens(alone) + one


async def test_thoughts_come_apart_from_the_answer(world: World, served: None) -> None:
    thoughtful = await run(world, "thinking.py", "How many primes?", "--thinking")
    assert thoughtful.notes.startswith("The request is: How many primes?")
    assert thoughtful.text.startswith("You said: How many primes?")
    hasty = await run(world, "thinking.py", "How many primes?", "--no-thinking")
    assert hasty.text == thoughtful.text
    assert not hasty.notes


async def test_the_versions_are_those_that_are_locked(world: World) -> None:
    root = EXAMPLES.parent / "requirements"
    named = [line for line in (CLIENTS / "requirements.txt").read_text().splitlines() if "==" in line]
    locked = (root / "litellm.txt").read_text()
    assert [line for line in named if f"\n{line} \\\n" not in locked] == []
    assert f"\n{named[0]} \\\n" in (root / "dev.txt").read_text()
