"""How the client finds its way to the API server."""

import asyncio
import json
from pathlib import Path

import pytest
import yaml
from gemma_operator.api.errors import ConfigurationError
from gemma_operator.cluster import client as client_module
from gemma_operator.cluster.client import connect
from kubernetes.aio import client as k8s
from kubernetes.aio import config as k8s_config


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


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a pod that has a service account and no kubeconfig."""

    def load(*, client_configuration: k8s.Configuration) -> None:
        client_configuration.host = "https://in-cluster"

    monkeypatch.setattr(k8s_config, "load_incluster_config", load)
    monkeypatch.setattr(client_module, "DEFAULT_KUBECONFIG", str(tmp_path / "default"))
    monkeypatch.delenv("KUBECONFIG", raising=False)


def _host(**options: str) -> str:
    async def ask() -> str:
        client = await connect(**options)
        await client.close()
        return str(client._api.configuration.host)

    return asyncio.run(ask())


@pytest.mark.usefixtures("pod")
def test_a_pod_uses_its_service_account() -> None:
    assert _host() == "https://in-cluster"


@pytest.mark.usefixtures("pod")
@pytest.mark.parametrize("way", ["option", "environment", "default", "context"])
def test_a_kubeconfig_wins_over_the_service_account(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _kubeconfig(tmp_path, server="http://chosen")
    if way == "environment":
        monkeypatch.setenv("KUBECONFIG", f"/nowhere:{path}")
    elif way in ("default", "context"):
        path.rename(tmp_path / "default")
    options = {"option": {"kubeconfig": str(path)}, "context": {"context": "it"}}.get(way, {})
    assert _host(**options) == "http://chosen"


@pytest.mark.usefixtures("pod")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no cluster to talk to: there is no kubeconfig {path}"),
        ("", "kubeconfig {path} cannot be used: it is no kubeconfig"),
        ("{", "kubeconfig {path} cannot be used: while parsing"),
        ("kind: Config", "Expected key current-context in {path}"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(
    text: str | None, says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "chosen"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        _host(kubeconfig=str(path))
    assert says.format(path=path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert caplog.text == "", "said once"


def test_neither_kubeconfig_nor_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "DEFAULT_KUBECONFIG", str(tmp_path / "default"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(ConfigurationError, match="and this is no pod"):
        _host()
