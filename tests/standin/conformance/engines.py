"""Start an engine (the stand-in or the real vLLM) as a process, and talk to it over HTTP."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from real_vllm import serve, versions
from real_vllm.tiny_model import write_tiny_model

STANDIN_SOURCE = Path(__file__).resolve().parents[1]
REQUEST_LIMIT = 60.0
"""Seconds after which an answer counts as lost."""

T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T | None], *, seconds: float) -> T:
    """Call `probe` until it returns something true, and return that; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@dataclass(frozen=True, slots=True)
class Kind:
    """How one of the two engines is started, and how long that may take."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    start_seconds: float

    def arguments(self, flags: Sequence[str]) -> list[str]:
        return [*self.command, *flags]


def standin(folder: Path) -> Kind:
    """The stand-in, run from this repository's source; it serves the same model folder as the real engine."""
    model = write_tiny_model(folder / "tiny-gemma4")
    environment = {**os.environ, "PYTHONPATH": str(STANDIN_SOURCE), "STANDIN_TOKENS_PER_SECOND": "300"}
    environment["HOME"] = str(folder)
    return Kind("standin", (sys.executable, "-m", "engine_standin", "serve", str(model)), environment, 30)


def real() -> Kind:
    """The real vLLM on this machine's CPU: dummy weights, no compilation."""
    if not versions.PYTHON.exists():
        raise AssertionError("the real vLLM is not installed: PYTHONPATH=hack python3 -m real_vllm install")
    write_tiny_model(versions.MODEL)
    return Kind("real", tuple(serve.command([])), serve.environment(), 900)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(slots=True)
class Engine:
    """A started engine; `key` is sent as bearer token with every request unless told otherwise."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    key: str = ""

    def request(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """Send one request and read the whole answer; `body` is sent as JSON, text as it is."""
        connection, response = self._open(method, path, body, key=key)
        with contextlib.closing(connection):
            text = response.read().decode()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, text)

    def chat(self, **fields: Any) -> Answer:
        return self.request("POST", "/v1/chat/completions", chat_body(**fields))

    def stream(self, **fields: Any) -> "Stream":
        """Start a streamed chat and return it while it runs."""
        return Stream(self, chat_body(stream=True, stream_options={"include_usage": True}, **fields))

    def metrics(self) -> str:
        return self.request("GET", "/metrics").text

    def gauge(self, name: str) -> float:
        """Return the sum of the samples of a metric."""
        values = [
            float(line.rsplit(" ", 1)[1])
            for line in self.metrics().splitlines()
            if line.split("{")[0].split(" ")[0] == name
        ]
        assert values, f"no sample of {name} in /metrics"
        return sum(values)

    def accepts_connections(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2):
            return True
        return False

    def terminate(self) -> None:
        """Send SIGTERM as the kubelet does: to the first process only."""
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, *, seconds: float) -> int:
        """Return the exit code; fail when the process lives longer than `seconds`."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:.0f} s") from None

    def _open(
        self, method: str, path: str, body: Any, *, key: str | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_LIMIT)
        token = self.key if key is None else key
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        payload: bytes | None = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        try:
            connection.request(method, path, body=payload, headers=headers)
            return connection, connection.getresponse()
        except BaseException:
            connection.close()
            raise


def chat_body(*, model: str = "chat", prompt: str = "hi", max_tokens: int = 8, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"model": model, "messages": messages, "max_tokens": max_tokens, "ignore_eos": True, **more}


@dataclass
class Stream:
    """A streamed answer, read by a thread of its own until it ends or breaks."""

    engine: Engine
    body: Any
    events: list[Any] = field(default_factory=list)
    status: int = 0
    done: bool = False
    broken: str = ""

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            connection, response = self.engine._open("POST", "/v1/chat/completions", self.body)
            self.status = response.status
            with contextlib.closing(connection):
                for line in response:
                    text = line.decode().strip()
                    if text == "data: [DONE]":
                        self.done = True
                    elif text.startswith("data: "):
                        self.events.append(json.loads(text.removeprefix("data: ")))
        except (OSError, http.client.HTTPException) as error:
            self.broken = repr(error)

    def ended(self) -> bool:
        """Whether nothing more comes: complete, cut or broken."""
        return not self._thread.is_alive()

    def started(self) -> bool:
        return any(choice["delta"].get("content") or choice["delta"].get("reasoning") for choice in self.choices())

    def choices(self) -> Iterator[Any]:
        for event in list(self.events):
            yield from event.get("choices", ())

    def errors(self) -> list[Any]:
        return [event["error"] for event in self.events if "error" in event]

    def usage(self) -> Any:
        """Return the usage block of the last event, or None: the answer is complete only when it is there."""
        return self.events[-1].get("usage") if self.events else None

    def finish_reason(self) -> str | None:
        return next((c["finish_reason"] for c in self.choices() if c.get("finish_reason")), None)


@contextlib.contextmanager
def running(
    kind: Kind, flags: Sequence[str], *, key: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[Engine]:
    """Start an engine with the flags, yield it once /health says 200, and end it in any case."""
    port = free_port()
    variables = {**kind.environment, **(environment or {})}
    if key:
        variables["VLLM_API_KEY"] = key
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log", "wb") as log:
        process = start(kind, [*flags, "--host=127.0.0.1", f"--port={port}"], variables, log)
        engine = Engine(process, port, Path(log.name), key)
        try:
            wait_for("the engine to be healthy", lambda: healthy(engine), seconds=kind.start_seconds)
            yield engine
        finally:
            kill(process)


def start(kind: Kind, flags: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        kind.arguments(flags),
        env=dict(environment),
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children: they share a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def refused(kind: Kind, flags: Sequence[str]) -> tuple[int, str]:
    """Start an engine that must fail; return its exit code and what it printed."""
    done = subprocess.run(
        kind.arguments(flags),
        env=dict(kind.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=kind.start_seconds,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def healthy(engine: Engine) -> bool:
    code = engine.process.poll()
    if code is not None:
        tail = "\n".join(engine.log.read_text(errors="replace").splitlines()[-30:])
        raise AssertionError(f"the engine ended with code {code} while starting:\n{tail}")
    try:
        return engine.request("GET", "/health").status == 200
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
