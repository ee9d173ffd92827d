"""Client keys: checked on every path, revoked without a restart, and never written anywhere."""

from __future__ import annotations

import secrets
import time

import pytest

from tests.integration.router.fake_engine import ENGINE_KEY, FakeEngine
from tests.integration.router.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATHS = [
    ("GET", "/v1/models"),
    ("GET", "/models"),
    ("GET", "/v1/models/any"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/embeddings"),
    ("POST", "/engines/any/chat/completions"),
    ("GET", "/model/info"),
    ("POST", "/model/new"),
    ("GET", "/health"),
    ("GET", "/health/readiness/details"),
    ("GET", "/metrics"),
    ("GET", "/metrics/"),
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/ui/"),
    ("POST", "/login"),
    ("GET", "/config/yaml"),
    ("POST", "/mcp"),
    ("GET", "//v1/models"),
    ("GET", "/gemma/v1/state"),
]


@pytest.mark.parametrize("key", [None, "", "sk-wrong", "default"])
@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_without_a_valid_key_every_path_is_401(world: World, method: str, path: str, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with world.http.request(method, world.url + path, headers=headers, json={"model": "x"}) as response:
        assert response.status == 401, await response.text()
        error = (await response.json())["error"]
    assert error["code"] == ("invalid_api_key" if key else "missing_api_key")
    assert error["type"] == "invalid_request_error"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/health/readiness", "/health/liveliness", "/health/liveness"])
async def test_probes_need_no_key(world: World, path: str) -> None:
    async with world.http.get(world.url + path) as response:
        assert response.status == 200, await response.text()


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "api-key"])
async def test_a_client_key_is_taken_from_the_usual_headers(world: World, header: str) -> None:
    value = f"Bearer {world.client_key}" if header == "Authorization" else world.client_key
    async with world.http.get(f"{world.url}/v1/models", headers={header: value}) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/model/info", "/health", "/metrics/", "/v1/embeddings", "/config/yaml"])
async def test_a_client_key_opens_inference_only(world: World, path: str) -> None:
    headers = {"Authorization": f"Bearer {world.client_key}"}
    async with world.http.get(world.url + path, headers=headers) as response:
        assert response.status == 403
        assert (await response.json())["error"]["code"] == "path_not_allowed"


async def test_the_master_key_is_for_administration(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("admin")
    world.put_endpoints("admin", engines[:1])
    await world.until_state("admin", endpoints=1)
    headers = {"Authorization": f"Bearer {world.master_key}"}
    async with world.http.get(f"{world.url}/model/info", headers=headers) as response:
        text = await response.text()
        assert response.status == 200, text
    assert "admin" in text
    assert world.master_key not in text
    assert ENGINE_KEY not in text
    status, body = await world.ask("admin", key=world.master_key)
    assert status == 403
    assert body["error"]["code"] == "master_key_not_allowed"
    assert engines[0].bodies == []


async def test_a_key_is_added_and_revoked_without_a_restart(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("revoked")
    world.put_endpoints("revoked", engines[:1])
    await world.until_state("revoked", endpoints=1)
    guest = "guest-" + secrets.token_hex(16)
    assert (await world.ask("revoked", key=guest))[0] == 401
    world.write_keys({"default": world.client_key, "guest": guest})
    await _until_status(world, guest, 200)
    world.write_keys({"default": world.client_key})
    await _until_status(world, guest, 401)
    assert (await world.ask("revoked"))[0] == 200


async def _until_status(world: World, key: str, wanted: int) -> None:
    deadline = time.monotonic() + 10
    while (await world.ask("revoked", key=key))[0] != wanted:
        assert time.monotonic() < deadline, f"the key still does not give {wanted}"


async def test_keys_are_in_no_log_and_no_metric(world: World, engines: list[FakeEngine]) -> None:
    world.add_deployment("quiet")
    world.put_endpoints("quiet", engines[:1])
    await world.until_state("quiet", endpoints=1)
    assert (await world.ask("quiet"))[0] == 200
    assert (await world.ask("quiet", messages="no list"))[0] >= 400
    wrong = "sk-" + secrets.token_hex(16)
    assert (await world.ask("quiet", key=wrong))[0] == 401
    async with world.http.get(f"http://127.0.0.1:{world.state_port}/metrics") as response:
        metrics = await response.text()
    assert 'gemma_router_requests_total{client="default",code="200",deployment="quiet"} 1.0' in metrics
    for secret in (world.client_key, world.master_key, wrong, ENGINE_KEY):
        assert secret not in metrics
        assert secret not in world.log()
