"""What a Kubernetes API does to a watcher, and what the clients of the router must not notice."""

from __future__ import annotations

import time

import pytest

from tests.integration.router.fake_engine import FakeEngine
from tests.integration.router.fake_kube import SLICES
from tests.integration.router.world import World, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_change_is_seen_after_the_watch_was_cut(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("cut")
    world.put_endpoints("cut", engines[:1])
    await world.until_state("cut", endpoints=1)
    world.kube.drop_watches()
    await eventually(lambda: world.kube.watching() == 0)
    world.put_endpoints("cut", engines[1:])
    await world.until_state("cut", endpoints=2)


async def test_a_deletion_across_a_relist_is_seen(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("relist")
    world.put_endpoints("relist", engines)
    await world.until_state("relist", endpoints=3)
    lists = world.kube.requests.count(("list", SLICES))
    world.kube.outage = True
    world.kube.drop_watches()
    await eventually(lambda: world.kube.watching() == 0)
    world.put_endpoints("relist", engines[:1])
    # With its history gone the API answers 410 to whoever goes on from before: only a list tells what is missing.
    world.kube.compact()
    world.kube.outage = False
    await world.until_state("relist", endpoints=1, within=30)
    assert world.kube.requests.count(("list", SLICES)) > lists


async def test_bookmarks_carry_the_watch_over_a_compaction(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("bookmark")
    world.put_endpoints("bookmark", engines[:1])
    await world.until_state("bookmark", endpoints=1)
    await eventually(lambda: world.kube.watching() == 2, what="both watches are open", within=30)
    lists = world.kube.requests.count(("list", SLICES))
    world.kube.bookmark()
    world.kube.compact()
    world.put_endpoints("bookmark", engines[:2])
    await world.until_state("bookmark", endpoints=2)
    world.kube.drop_watches()
    await eventually(lambda: world.kube.watching() == 2, what="both watches are open again", within=30)
    world.put_endpoints("bookmark", engines)
    await world.until_state("bookmark", endpoints=3)
    assert world.kube.requests.count(("list", SLICES)) == lists


@pytest.mark.parametrize("code", [410, 500])
async def test_an_error_event_ends_in_a_true_view(world: World, engines: list[FakeEngine], code: int) -> None:
    name = f"error-{code}"
    world.add_deployment(name)
    world.put_endpoints(name, engines[:1])
    await world.until_state(name, endpoints=1)
    world.kube.error_event(code)
    world.put_endpoints(name, engines[1:])
    await world.until_state(name, endpoints=2, within=30)


async def test_an_outage_of_the_api_keeps_the_endpoints(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("outage")
    world.put_endpoints("outage", engines[:1])
    await world.until_state("outage", endpoints=1)
    world.kube.outage = True
    world.kube.drop_watches()
    tries = len(world.kube.requests)
    await eventually(lambda: len(world.kube.requests) >= tries + 4, within=30, what="four tries to reach the API")
    assert (await world.state())["apiReachable"] is False
    assert (await world.ask("outage"))[0] == 200
    assert {"outage"} <= await world.models()
    world.kube.outage = False
    world.put_endpoints("outage", engines)
    await world.until_state("outage", endpoints=3, within=30)
    await eventually(lambda: world.kube.watching() == 2, within=30, what="both watches are open again")
    deadline = time.monotonic() + 10
    while not (await world.state())["apiReachable"]:
        assert time.monotonic() < deadline


async def test_a_rotated_token_is_used(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("token")
    world.put_endpoints("token", engines[:1])
    await world.until_state("token", endpoints=1)
    world.kube.token = "token-2"
    (world.directory / "token").write_text("token-2\n")
    world.kube.drop_watches()
    await eventually(lambda: world.kube.watching() == 0)
    world.put_endpoints("token", engines)
    await world.until_state("token", endpoints=3, within=30)
