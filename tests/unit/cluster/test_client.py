"""How the client finds its way to the API server."""

import asyncio
import json
from pathlib import Path

import pytest
import yaml
from gemma_operator.cluster.client import connect


def _kubeconfig(folder: Path, *, server: str) -> Path:
    file = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "not-a-secret"}}],
        "contexts": [{"name": "it", "context": {"cluster": "one", "user": "me"}}],
        "current-context": "it",
    }
    file.write_text(yaml.safe_dump(config))
    return file


async def _asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, server: str, environment: dict[str, str]
) -> list[str]:
    """Request lines that a listener gets when the client reads `/version`; `PORT` in the arguments is its port."""
    lines: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines.append(head.splitlines()[0])
        assert "authorization: bearer not-a-secret" in head.lower()
        body = json.dumps({"major": "1"}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        port = str(listener.sockets[0].getsockname()[1])
        for name, value in environment.items():
            monkeypatch.setenv(name, value.replace("PORT", port))
        client = await connect(kubeconfig=str(_kubeconfig(folder, server=server.replace("PORT", port))))
        try:
            assert json.loads(await client.read("/version")) == {"major": "1"}
        finally:
            await client.close()
    return lines


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_environments_proxy_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"HTTP_PROXY": "http://127.0.0.1:PORT"}
    lines = asyncio.run(_asked(tmp_path, monkeypatch, server="http://api.invalid:8001", environment=environment))
    assert lines == ["GET http://api.invalid:8001/version HTTP/1.1"]


def test_no_proxy_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"HTTP_PROXY": "http://proxy.invalid:3128", "NO_PROXY": "127.0.0.1"}
    lines = asyncio.run(_asked(tmp_path, monkeypatch, server="http://127.0.0.1:PORT", environment=environment))
    assert lines == ["GET /version HTTP/1.1"]


def test_a_default_login_in_netrc_does_not_replace_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    netrc.chmod(0o600)
    environment = {"NETRC": str(netrc)}
    lines = asyncio.run(_asked(tmp_path, monkeypatch, server="http://127.0.0.1:PORT", environment=environment))
    assert lines == ["GET /version HTTP/1.1"]
