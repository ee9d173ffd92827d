"""One real LiteLLM process for all tests of this directory; every test has deployments and engines of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import litellm_venv
import pytest
import pytest_asyncio

from tests.integration.router.fake_engine import FakeEngine
from tests.integration.router.world import World

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the proxy's start, which takes half a minute on a busy machine."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(240))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    world = World(tmp_path_factory.mktemp("router"), litellm_venv.ensure())
    try:
        await world.start()
        await world.ready()
        yield world
    finally:
        await world.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def engines() -> AsyncIterator[list[FakeEngine]]:
    """Three engines that listen."""
    made = [await FakeEngine(f"engine-{index}").start() for index in range(3)]
    yield made
    for engine in made:
        engine.go_on.set()
        await engine.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def second(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Another router process on the same Kubernetes API, as the second pod of the router."""
    made = World(tmp_path_factory.mktemp("second"), litellm_venv.ensure(), beside=world)
    try:
        await made.start()
        await made.ready()
        yield made
    finally:
        await made.stop()
