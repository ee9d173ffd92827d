"""The real LiteLLM proxy as a process, with a Kubernetes API and engines that the test owns."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import yaml
from gemma_router import proxy_config, source

from tests.integration.router.fake_engine import ENGINE_KEY
from tests.integration.router.fake_kube import CONFIGMAPS, NAMESPACE, SLICES, FakeKube

ROUTER = "gemma-router"
HOLD_SECONDS = 3
HOLD_QUEUE = 8
COMMENT_SECONDS = 5
"""Longer than the hold, so that a stream is refused with a status unless its test asks for more."""


async def eventually(condition: Callable[[], object], *, within: float = 10.0, what: str = "") -> None:
    """Return when `condition()` is true; fail with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {what or condition}"
        await asyncio.sleep(0.02)


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Endpoint(Protocol):
    """What a slice needs to know of an engine."""

    @property
    def name(self) -> str: ...

    @property
    def port(self) -> int: ...


class World:
    """Everything around one router process, and short ways to change it and to ask it."""

    def __init__(self, directory: Path, python: Path, *, beside: World | None = None) -> None:
        self.directory = directory
        self._python = python
        self._beside = beside
        self.kube: FakeKube = beside.kube if beside else FakeKube(token="token-1")
        self.master_key = "sk-" + secrets.token_hex(24)
        self.client_key: str = beside.client_key if beside else "sk-gemma-" + secrets.token_hex(16)
        self.port, self.state_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.changed_environment: dict[str, str] = {}
        self.process: asyncio.subprocess.Process | None = None
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        self._deployments: list[dict[str, Any]] = []

    async def start(self, *, token: str | None = None) -> None:
        """Start the API, then the proxy with this token, or the right one. Does not wait for it to be ready."""
        if self._beside is None:
            await self.kube.start()
            self._put_routes()
        self.write_code()
        (self.directory / "config.yaml").write_text(yaml.safe_dump(proxy_config.litellm_config()))
        (self.directory / "token").write_text(token or self.kube.token)
        self.write_keys({"default": self.client_key})
        log = (self.directory / "router.log").open("wb")
        command = [*proxy_config.COMMAND]
        command[command.index(proxy_config.CONFIG_FILE)] = str(self.directory / "config.yaml")
        command[command.index(str(proxy_config.HTTP_PORT))] = str(self.port)
        self.process = await asyncio.create_subprocess_exec(
            str(self._python.parent / command[0]), *command[1:], env=self.environment(), stdout=log, stderr=log
        )
        log.close()

    async def ready(self, within: float = 180) -> None:
        """Wait until the proxy's readiness probe succeeds."""
        deadline = time.monotonic() + within
        while True:
            assert self.process is not None
            assert self.process.returncode is None, f"the proxy ended:\n{self.log()[-4000:]}"
            try:
                async with self.http.get(self.url + proxy_config.READINESS_PATH) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            assert time.monotonic() < deadline, f"not ready within {within} s:\n{self.log()[-4000:]}"
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """End the proxy and everything else."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        if self._beside is None:
            await self.kube.stop()
        await self.http.close()

    def log(self) -> str:
        """Return what the proxy has written."""
        return (self.directory / "router.log").read_text(errors="replace")

    def write_code(self) -> None:
        """Lay the package out as the mount of its ConfigMap does."""
        code = self.directory / "code" / "gemma_router"
        code.mkdir(parents=True)
        for name, text in source.files().items():
            (code / name).write_text(text)

    def environment(self) -> dict[str, str]:
        """Return the environment of the proxy's container, with the paths and ports of this machine."""
        return {
            "PATH": os.environ["PATH"],
            **proxy_config.ENVIRONMENT,
            "PYTHONPATH": str(self.directory / "code"),
            "GEMMA_KEYS_DIR": str(self.directory / "keys"),
            "GEMMA_ROUTER_NAME": ROUTER,
            "POD_NAMESPACE": NAMESPACE,
            "GEMMA_ENGINE_KEY": ENGINE_KEY,
            "LITELLM_MASTER_KEY": self.master_key,
            "GEMMA_KUBE_API": f"http://127.0.0.1:{self.kube.port}",
            "GEMMA_KUBE_TOKEN_FILE": str(self.directory / "token"),
            "GEMMA_HOLD_SECONDS": str(HOLD_SECONDS),
            "GEMMA_HOLD_QUEUE": str(HOLD_QUEUE),
            "GEMMA_COMMENT_SECONDS": str(COMMENT_SECONDS),
            "GEMMA_STATE_PORT": str(self.state_port),
            **self.changed_environment,
        }

    def write_keys(self, keys: dict[str, str]) -> None:
        """Write the Secret's directory as kubelet does: a dated directory, and one symlink swapped at once."""
        directory = self.directory / "keys"
        directory.mkdir(exist_ok=True)
        dated = directory / f"..{time.time_ns()}"
        dated.mkdir()
        for name, key in keys.items():
            (dated / name).write_text(key)
        (directory / "..data_tmp").symlink_to(dated.name)
        (directory / "..data_tmp").rename(directory / "..data")
        for name in keys:
            if not (directory / name).is_symlink():
                (directory / name).symlink_to(f"..data/{name}")
        for path in directory.iterdir():
            if not path.name.startswith("..") and path.name not in keys:
                path.unlink()

    async def until_known(self, key: str) -> None:
        """Wait until the router has read this client key."""
        deadline = time.monotonic() + 20
        while True:
            async with self.http.get(f"{self.url}/v1/models", headers={"x-api-key": key}) as response:
                if response.status == 200:
                    return
            assert time.monotonic() < deadline, "the router has not read the key"
            await asyncio.sleep(0.1)

    def add_deployment(self, name: str, **fields: Any) -> None:
        """Add a deployment to routes.json."""
        self._deployments = [item for item in self._deployments if item["name"] != name]
        self._deployments.append({"name": name, "aliases": [], "fallbacks": [], **fields})
        self._put_routes()

    def remove_deployment(self, name: str) -> None:
        """Remove a deployment from routes.json."""
        self._deployments = [item for item in self._deployments if item["name"] != name]
        self._put_routes()

    def _put_routes(self) -> None:
        routes = {"deployments": sorted(self._deployments, key=lambda item: str(item["name"]))}
        metadata = {"name": f"{ROUTER}-routes"}
        self.kube.put(CONFIGMAPS, {"metadata": metadata, "data": {"routes.json": json.dumps(routes)}})

    def put_endpoints(
        self,
        deployment: str,
        engines: Sequence[Endpoint],
        *,
        part: str = "a",
        not_ready: Sequence[Endpoint] = (),
        terminating: Sequence[Endpoint] = (),
    ) -> None:
        """Write the slices of a deployment: one each, as the engines of a test differ in their port."""
        wanted = {}
        for engine in [*engines, *not_ready, *terminating]:
            leaving = engine in terminating
            conditions = {"ready": engine in engines and not leaving, "serving": True, "terminating": leaving}
            wanted[f"{deployment}-{part}-{engine.name}"] = slice_object(deployment, engine.port, conditions)
        for name in list(self.kube.objects[SLICES]):
            if name.startswith(f"{deployment}-{part}-") and name not in wanted:
                self.kube.delete(SLICES, name)
        for name, item in wanted.items():
            item["metadata"]["name"] = name
            known = self.kube.objects[SLICES].get(name)
            if known is None or known["endpoints"] != item["endpoints"]:
                self.kube.put(SLICES, item)

    def put_router_pods(self, count: int) -> None:
        """Write the slice of the router's own Service."""
        endpoints = [
            {"addresses": [f"10.9.0.{index}"], "conditions": {"ready": True}, "targetRef": {"uid": f"router-{index}"}}
            for index in range(count)
        ]
        labels = {"gemma4stack.dev/router": ROUTER}
        ports = [{"name": "http", "port": 4000}]
        metadata = {"name": f"{ROUTER}-x", "labels": labels}
        self.kube.put(SLICES, {"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": endpoints})

    async def state(self) -> dict[str, Any]:
        """Return what the internal port says."""
        async with self.http.get(f"http://127.0.0.1:{self.state_port}/gemma/v1/state") as response:
            assert response.status == 200
            found: dict[str, Any] = await response.json()
            return found

    async def until_state(self, deployment: str, *, within: float = 10.0, **numbers: int) -> None:
        """Wait until the counts of a deployment are these."""
        deadline = time.monotonic() + within
        while True:
            found = (await self.state())["deployments"].get(deployment, {})
            if all(found.get(name) == number for name, number in numbers.items()):
                return
            assert time.monotonic() < deadline, f"{deployment} is {found}, wanted {numbers} within {within} s"
            await asyncio.sleep(0.02)

    def chat(self, model: str, *, key: str | None = None, **fields: Any) -> Any:
        """Return the request context of one chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}
        headers = {"Authorization": f"Bearer {self.client_key if key is None else key}"}
        return self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=headers)

    async def ask(self, model: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Return status and body of one chat completion that does not stream."""
        async with self.chat(model, **fields) as response:
            return response.status, await response.json()

    async def models(self) -> set[str]:
        """Return the names that /v1/models lists."""
        headers = {"Authorization": f"Bearer {self.client_key}"}
        async with self.http.get(f"{self.url}/v1/models", headers=headers) as response:
            assert response.status == 200, await response.text()
            return {item["id"] for item in (await response.json())["data"]}


def slice_object(deployment: str, port: int, conditions: dict[str, bool]) -> dict[str, Any]:
    """Return an EndpointSlice of one endpoint on the loopback."""
    endpoint = {
        "addresses": ["127.0.0.1"],
        "conditions": conditions,
        "targetRef": {"kind": "Pod", "uid": f"pod-{port}"},
    }
    return {
        "metadata": {"labels": {"gemma4stack.dev/router": ROUTER, "gemma4stack.dev/deployment": deployment}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [endpoint],
    }
