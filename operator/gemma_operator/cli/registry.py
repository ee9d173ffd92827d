"""What images weigh, asked of their registries (OCI distribution API), anonymously."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

_ACCEPTED: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)
_AT_ONCE: Final = 4
_LARGEST: Final = 4 * 2**20
"""Bytes of a manifest: what registries accept at most."""
_LOCAL: Final = ("localhost", "127.0.0.1")
"""Spoken to without TLS, as container tools do."""
_CHALLENGE: Final = re.compile(r'(realm|service|scope)="([^"]*)"')

_Blobs = dict[str, int]
"""Digest → bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Compressed bytes of an image, as they are downloaded."""

    total: int
    """All platforms together, shared layers once: what a mirror copies."""
    platforms: Mapping[str, int]
    """`linux/amd64` → bytes that a node of it pulls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A registry did not tell."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where the manifest of an image is."""

    registry: str
    repository: str
    version: str
    """Tag or digest."""

    def url(self, version: str | None = None) -> str:
        """Address of a manifest; `version`: another one of the same repository."""
        scheme = "http" if self.registry.partition(":")[0] in _LOCAL else "https"
        return f"{scheme}://{self.registry}/v2/{self.repository}/manifests/{version or self.version}"


async def weigh(images: Iterable[str]) -> dict[str, Weight | Unknown]:
    """Ask for every image; those that are not told are there too, with the reason."""
    gate = asyncio.Semaphore(_AT_ONCE)
    wanted = list(dict.fromkeys(images))
    async with aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True) as http:

        async def one(image: str) -> Weight | Unknown:
            async with gate:
                try:
                    return await _weight(_Registry(http), parse(image))
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    return Unknown(why=str(error) or type(error).__name__)
                except (ValueError, KeyError, TypeError):
                    return Unknown(why="the registry's answer is no manifest")
                except _RefusedError as error:
                    return Unknown(why=str(error))

        return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))


def parse(image: str) -> Reference:
    """The registry, repository and tag or digest of a reference, read as container runtimes do."""
    name, at, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    if not (slash and ("." in first or ":" in first or first == "localhost")):
        first, rest = "docker.io", name
    repository, colon, tag = rest.rpartition(":")
    if not colon:
        repository, tag = rest, "latest"
    if first == "docker.io":
        first = "registry-1.docker.io"
        repository = repository if "/" in repository else f"library/{repository}"
    return Reference(registry=first, repository=repository, version=digest if at else tag)


class _RefusedError(Exception):
    """An answer other than 200."""


class _Registry:
    """One image's questions: they share a token."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._token: str | None = None

    async def manifest(self, url: str) -> Any:
        status, headers, body = await self._get(url)
        if status == 401 and self._token is None:
            self._token = await self._anonymous(headers.get("WWW-Authenticate", ""))
            status, headers, body = await self._get(url)
        if status != 200:
            raise _RefusedError(f"{url}: {status}" + (", it wants credentials" if status in (401, 403) else ""))
        return json.loads(body)

    async def _anonymous(self, challenge: str) -> str:
        found = dict(_CHALLENGE.findall(challenge))
        realm = found.pop("realm", "")
        if not challenge.lower().startswith("bearer ") or not realm:
            raise _RefusedError("the registry wants credentials")
        async with self._http.get(realm, params=found) as answer:
            if answer.status != 200:
                raise _RefusedError(f"{realm}: {answer.status}, it wants credentials")
            body = json.loads(await answer.content.read(_LARGEST))
            return str(body.get("token") or body["access_token"])

    async def _get(self, url: str) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Accept": _ACCEPTED}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        async with self._http.get(url, headers=headers) as answer:
            parts = bytearray()
            async for part in answer.content.iter_chunked(2**16):
                parts += part
                if len(parts) > _LARGEST:
                    raise _RefusedError(f"{url}: longer than a manifest may be")
            return answer.status, answer.headers, bytes(parts)


async def _weight(registry: _Registry, reference: Reference) -> Weight:
    top = await registry.manifest(reference.url())
    blobs: _Blobs = {}
    platforms: dict[str, int] = {}
    if "manifests" not in top:
        blobs = _blobs(top)
        return Weight(total=sum(blobs.values()), platforms={})
    for entry in top["manifests"]:
        found = _blobs(await registry.manifest(reference.url(entry["digest"])))
        blobs |= found
        platform = entry.get("platform") or {}
        # Signatures and attestations stand under the platform unknown/unknown.
        if platform.get("os", "unknown") != "unknown":
            platforms[f"{platform['os']}/{platform['architecture']}"] = sum(found.values())
    return Weight(total=sum(blobs.values()), platforms=platforms)


def _blobs(manifest: Mapping[str, Any]) -> _Blobs:
    return {part["digest"]: int(part["size"]) for part in (manifest["config"], *manifest["layers"])}
