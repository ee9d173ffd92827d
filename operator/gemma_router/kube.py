"""Reading the Kubernetes API with aiohttp alone: address, token and certificate of the pod, lists and watches."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LIST_SECONDS = 30
PAGE = 500


class ApiError(Exception):
    """The API answered with a failure; `code` is its HTTP status, or that of an ERROR event."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class KubeApi:
    """Where the API is and how to speak to it. Files are read for every request: tokens and authorities rotate."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> KubeApi:
        """Return the API of the cluster this pod runs in, or the one of `GEMMA_KUBE_API` (tests, out of cluster).

        Raises `RuntimeError` outside a cluster.
        """
        if url := environ.get("GEMMA_KUBE_API"):
            token, authority = environ.get("GEMMA_KUBE_TOKEN_FILE"), environ.get("GEMMA_KUBE_CA_FILE")
            return cls(url.rstrip("/"), Path(token) if token else None, Path(authority) if authority else None)
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise RuntimeError("KUBERNETES_SERVICE_HOST is not set: run in a cluster, or set GEMMA_KUBE_API")
        host = f"[{host}]" if ":" in host else host
        return cls(f"https://{host}:{port}", SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt")

    async def list(
        self, session: aiohttp.ClientSession, path: str, params: Mapping[str, str]
    ) -> tuple[list[dict[str, Any]], str]:
        """Return all objects and the resourceVersion to watch from. Raises `ApiError` and aiohttp's errors."""
        items: list[dict[str, Any]] = []
        query = {**params, "limit": str(PAGE)}
        while True:
            async with self._get(session, path, query, aiohttp.ClientTimeout(total=LIST_SECONDS)) as response:
                page = await response.json()
            items += page.get("items") or []
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return items, str(metadata.get("resourceVersion", ""))
            query["continue"] = metadata["continue"]

    async def watch(
        self,
        session: aiohttp.ClientSession,
        path: str,
        params: Mapping[str, str],
        *,
        version: str,
        seconds: int,
        opened: Callable[[], None],
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield watch events after `version` until the server ends the watch, about `seconds` later.

        `opened` is called when the server has accepted the watch: the first event may be long in coming.
        """
        query = {
            **params,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=seconds + 30)
        async with self._get(session, path, query, timeout) as response:
            opened()
            rest = b""
            # Not by readline: a slice of 1000 endpoints is longer than aiohttp's limit for a line.
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)

    @asynccontextmanager
    async def _get(
        self, session: aiohttp.ClientSession, path: str, query: Mapping[str, str], limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": "application/json"}
        if self.token_file is not None:
            headers["Authorization"] = f"Bearer {self.token_file.read_text().strip()}"
        tls = ssl.create_default_context(cafile=self.ca_file) if self.ca_file is not None else True
        async with session.get(self.url + path, params=query, headers=headers, timeout=limits, ssl=tls) as response:
            if response.status >= 400:
                raise ApiError(response.status, _message(await response.text()))
            yield response


def _message(body: str) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200]


def session() -> aiohttp.ClientSession:
    """Return a session whose connections notice within half a minute that the other side has vanished."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=_keepalive_socket), trust_env=False)


def _keepalive_socket(info: Any) -> socket.socket:
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
