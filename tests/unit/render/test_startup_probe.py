"""The script that is mounted into engine pods, run as the kubelet runs it, against a server on this machine."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(str(files("gemma_operator.render.scripts") / "startup_probe.py"))
ANSWER = json.dumps({"choices": [{"text": "2", "finish_reason": "length"}]}).encode()

Answer = Callable[[BaseHTTPRequestHandler], None]


def reply(status: int, body: bytes) -> Answer:
    """An engine that always answers this."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextmanager
def engine(answer: Answer) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A server on a free port, and the requests that it got."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append({"path": self.path, "key": self.headers.get("Authorization"), **json.loads(body)})
            answer(self)

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], seen
        finally:
            server.shutdown()


def probe(port: int, *, temporary: Path, timeout: float = 20, **environment: str) -> subprocess.CompletedProcess[str]:
    """One run of the script, with nothing but the standard library and this environment."""
    command = [sys.executable, "-I", str(SCRIPT), "--model", "chat", "--port", str(port), "--timeout", str(timeout)]
    variables = {"PATH": os.environ["PATH"], "TMPDIR": str(temporary), **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=50, check=False)


def test_succeeds_on_a_completion(tmp_path: Path) -> None:
    with engine(reply(200, ANSWER)) as (port, seen):
        result = probe(port, temporary=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert [(item["path"], item["model"], item["max_tokens"], item["key"]) for item in seen] == [
        ("/v1/completions", "chat", 1, None)
    ]


def test_sends_the_engine_key_and_shows_it_nowhere(tmp_path: Path) -> None:
    with engine(reply(401, b'{"error": "Unauthorized"}')) as (port, seen):
        result = probe(port, temporary=tmp_path, VLLM_API_KEY="secret-key")
    assert seen[0]["key"] == "Bearer secret-key"
    assert result.returncode == 1
    assert "secret-key" not in result.stdout + result.stderr
    assert "the engine answered 401" in result.stderr


def test_ignores_the_proxy_of_the_pod(tmp_path: Path) -> None:
    proxy = "http://127.0.0.1:1"
    with engine(reply(200, ANSWER)) as (port, _):
        result = probe(port, temporary=tmp_path, HTTP_PROXY=proxy, http_proxy=proxy, ALL_PROXY=proxy)
    assert result.returncode == 0


def test_fails_while_nothing_listens(tmp_path: Path) -> None:
    with engine(reply(200, ANSWER)) as (port, _):
        pass
    result = probe(port, temporary=tmp_path)
    assert result.returncode == 1
    assert f"does not listen on port {port} yet" in result.stderr


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (503, b"engine is dead", "the engine answered 503: engine is dead"),
        (404, b'{"message": "The model does not exist"}', "the engine answered 404"),
        (200, b"<html>", "without a completion: <html>"),
        (200, b'{"choices": []}', "without a completion"),
        (200, b"null", "without a completion: null"),
    ],
)
def test_fails_on_any_other_answer(status: int, body: bytes, message: str, tmp_path: Path) -> None:
    with engine(reply(status, body)) as (port, _):
        result = probe(port, temporary=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr


def test_a_long_answer_is_cut(tmp_path: Path) -> None:
    with engine(reply(500, b"x" * 100_000)) as (port, _):
        result = probe(port, temporary=tmp_path)
    assert len(result.stderr) < 500


def test_fails_when_the_engine_closes_the_connection(tmp_path: Path) -> None:
    with engine(lambda _: None) as (port, _):
        result = probe(port, temporary=tmp_path)
    assert result.returncode == 1
    assert "the engine ended the connection" in result.stderr


def test_gives_up_after_its_timeout(tmp_path: Path) -> None:
    stop = threading.Event()

    def wait(_: BaseHTTPRequestHandler) -> None:
        stop.wait(40)

    with engine(wait) as (port, _):
        result = probe(port, temporary=tmp_path, timeout=0.3)
        stop.set()
    assert result.returncode == 1
    assert "gave no completion within 0.3 s" in result.stderr


def test_one_at_a_time(tmp_path: Path) -> None:
    with engine(reply(200, ANSWER)) as (port, seen):
        with open(tmp_path / "gemma-startup-probe.lock", "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            busy = probe(port, temporary=tmp_path)
        free = probe(port, temporary=tmp_path)
    assert busy.returncode == 1
    assert "an earlier probe still waits" in busy.stderr
    assert free.returncode == 0
    assert len(seen) == 1
