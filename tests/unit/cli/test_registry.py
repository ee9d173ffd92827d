"""What images weigh, asked of a registry that speaks the distribution API."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gemma_operator.cli.registry import Reference, Unknown, Weight, parse, weigh

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def manifest(*layers: int) -> dict[str, Any]:
    """A manifest whose layers are named after their bytes: equal ones are shared."""
    return {
        "mediaType": MANIFEST,
        "config": {"digest": f"sha256:config{sum(layers)}", "size": 7},
        "layers": [{"digest": f"sha256:{size}", "size": size} for size in layers],
    }


STORED: Mapping[str, Any] = {
    "one/flat:1": manifest(100, 20),
    "one/many:1": {
        "mediaType": INDEX,
        "manifests": [
            {"digest": "sha256:amd", "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": "sha256:arm", "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": "sha256:sig", "platform": {"os": "unknown", "architecture": "unknown"}},
        ],
    },
    "one/many:sha256:amd": manifest(1000, 1),
    "one/many:sha256:arm": manifest(1000, 2),
    "one/many:sha256:sig": manifest(3),
    "one/odd:1": {"errors": []},
    "secret/flat:1": manifest(5),
    "hidden/flat:1": manifest(5),
}


class Registry:
    """Answers like a registry; what begins with `secret/` wants an anonymous token, `hidden/` wants a login."""

    def __init__(self) -> None:
        self.app = web.Application()
        self.app.router.add_get("/token", self._token)
        self.app.router.add_get("/v2/{repository:.+}/manifests/{version}", self._manifest)
        self.server = TestServer(self.app, host="127.0.0.1")

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    async def _token(self, request: web.Request) -> web.Response:
        assert dict(request.query) == {"service": "here", "scope": "repository:secret/flat:pull"}
        return web.json_response({"token": "for-everyone"})

    async def _manifest(self, request: web.Request) -> web.Response:
        repository, version = request.match_info["repository"], request.match_info["version"]
        if repository.startswith("hidden/"):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="here"'})
        if repository.startswith("secret/") and request.headers.get("Authorization") != "Bearer for-everyone":
            challenge = f'realm="http://{self.name}/token",service="here",scope="repository:{repository}:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": f"Bearer {challenge}"})
        found = STORED.get(f"{repository}:{version}")
        if found is None:
            return web.Response(status=404)
        assert INDEX in request.headers["Accept"]
        return web.Response(text=json.dumps(found), content_type=found.get("mediaType", "application/json"))


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    made = Registry()
    await made.server.start_server()
    yield made
    await made.server.close()


async def test_one_platform(registry: Registry) -> None:
    image = f"{registry.name}/one/flat:1"
    assert await weigh([image, image]) == {image: Weight(total=127, platforms={})}


async def test_shared_layers_of_several_platforms_count_once(registry: Registry) -> None:
    image = f"{registry.name}/one/many:1"
    assert await weigh([image]) == {
        image: Weight(total=1006 + 3 * 7, platforms={"linux/amd64": 1008, "linux/arm64": 1009})
    }


async def test_an_anonymous_token_is_fetched_where_one_is_wanted(registry: Registry) -> None:
    image = f"{registry.name}/secret/flat:1"
    assert await weigh([image]) == {image: Weight(total=12, platforms={})}


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("one/gone:1", "/v2/one/gone/manifests/1: 404"),
        ("hidden/flat:1", "the registry wants credentials"),
        ("one/odd:1", "the registry's answer is no manifest"),
    ],
)
async def test_what_is_not_told_is_unknown_with_the_reason(registry: Registry, image: str, why: str) -> None:
    good = f"{registry.name}/one/flat:1"
    found = await weigh([f"{registry.name}/{image}", good])
    answer = found[f"{registry.name}/{image}"]
    assert isinstance(answer, Unknown)
    assert why in answer.why
    assert isinstance(found[good], Weight), "one that fails stops no other"


async def test_a_registry_that_is_not_there_is_unknown(registry: Registry) -> None:
    image = f"{registry.name}/one/flat:1"
    await registry.server.close()
    assert isinstance((await weigh([image]))[image], Unknown)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (
            "docker.io/vllm/vllm-openai:v1",
            Reference(registry="registry-1.docker.io", repository="vllm/vllm-openai", version="v1"),
        ),
        (
            "vllm/vllm-openai",
            Reference(registry="registry-1.docker.io", repository="vllm/vllm-openai", version="latest"),
        ),
        ("python:3.13", Reference(registry="registry-1.docker.io", repository="library/python", version="3.13")),
        ("r.site:5000/a/b:1", Reference(registry="r.site:5000", repository="a/b", version="1")),
        ("r.site/a/b:1@sha256:0", Reference(registry="r.site", repository="a/b", version="sha256:0")),
        ("localhost/a", Reference(registry="localhost", repository="a", version="latest")),
    ],
)
def test_references_are_read_as_container_runtimes_do(image: str, expected: Reference) -> None:
    assert parse(image) == expected


def test_only_this_machine_is_spoken_to_without_tls() -> None:
    assert parse("localhost:5000/a:1").url() == "http://localhost:5000/v2/a/manifests/1"
    assert parse("localhost.example.com/a:1").url() == "https://localhost.example.com/v2/a/manifests/1"
