"""`kubectl gemma chat` against an HTTP server that streams, at a URL and as the API server's proxy."""

import asyncio
import base64
import importlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
import pytest
from gemma_operator.api.errors import ApiError
from gemma_operator.cli import session
from gemma_operator.cluster.resources import DEPLOYMENTS, SECRETS, Resource

from tests.unit.cli.test_status import Api, gdep
from tests.unit.inventory.builders import Object

KEY = "sk-very-secret"


def event(value: Any) -> str:
    return f"data: {json.dumps(value)}\n\n"


def says(*words: str, finish: str = "stop") -> str:
    """A stream as the router sends it."""
    parts = [event({"choices": [{"delta": {"content": word}}]}) for word in words]
    return "".join([*parts, event({"choices": [{"delta": {}, "finish_reason": finish}]}), "data: [DONE]\n\n"])


class Served:
    """What the server answers, and what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, says("Hel", "lo!"), {"Content-Type": "text/event-stream"}
        self.asked: list[tuple[str, dict[str, str], Object]] = []
        self.url = ""

    def refuse(self, status: int, body: Any, **headers: str) -> None:
        self.status, self.body = status, json.dumps(body)
        self.headers = {"Content-Type": "application/json", **headers}


@pytest.fixture
def served() -> Iterator[Served]:
    answers = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            headers = {name.lower(): value for name, value in self.headers.items()}
            answers.asked.append((self.path, headers, json.loads(self.rfile.read(length))))
            self.send_response(answers.status)
            for name, value in answers.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answers.body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: tests read standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        answers.url = f"http://127.0.0.1:{server.server_port}"
        yield answers
        server.shutdown()
        thread.join()


class Proxied(Api):
    """The operator's client, with the server behind the proxy of the API server."""

    def __init__(self, *objects: Object, url: str, secret: Object | int | None, name: str) -> None:
        super().__init__(*objects)
        self._url, self._secret, self._name = url, secret, name
        self._session: aiohttp.ClientSession | None = None

    async def get(self, resource: Resource, *, name: str, namespace: str) -> Object | None:
        if resource is DEPLOYMENTS and self._name != "gemma-router-keys":
            volumes = [{"name": "code"}, {"name": "keys", "secret": {"secretName": self._name}}]
            return {"spec": {"template": {"spec": {"volumes": volumes}}}}
        if resource is not SECRETS:
            return await super().get(resource, name=name, namespace=namespace)
        assert (name, namespace) == (self._name, "cli")
        if isinstance(self._secret, int):
            raise ApiError(status=self._secret, reason="Forbidden", message="no", verb="GET", path="/secrets")
        return self._secret

    async def stream(
        self, path: str, body: Object, *, headers: dict[str, str], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        self._session = self._session or aiohttp.ClientSession(timeout=limits)
        return await self._session.post(self._url + path, json=body, headers=headers)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def secret(**keys: str) -> Object:
    return {"data": {name: base64.b64encode(key.encode()).decode() for name, key in keys.items()}}


KEYS = secret(default=KEY)


@pytest.fixture
def chat(run: Any, served: Served, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`chat("Hello")`: ask the recorded deployment `chat`."""
    monkeypatch.delenv("GEMMA_API_KEY", raising=False)

    def invoke(
        *arguments: str,
        obj: Object | None = None,
        secret: Object | int | None = KEYS,
        secret_name: str = "gemma-router-keys",
        stdin: str = "",
    ) -> Any:
        async def connect(**_: Any) -> Proxied:
            await asyncio.sleep(0)
            return Proxied(obj or gdep("chat"), url=served.url, secret=secret, name=secret_name)

        monkeypatch.setattr(session, "connect", connect)
        monkeypatch.setattr(session, "current_namespace", lambda *_: "cli")
        return run("chat", "chat", *arguments, stdin=stdin)

    return invoke


def test_a_message_goes_through_the_proxy_with_the_key_of_the_secret(chat, served):
    result = chat("Hello", "--max-tokens", "32", "--system", "Be brief.")
    assert result.exit_code == 0, result.output
    assert result.stdout == "Hello!\n"
    [(path, headers, body)] = served.asked
    assert path == "/api/v1/namespaces/cli/services/http:gemma-router:http/proxy/v1/chat/completions"
    assert headers["x-api-key"] == KEY
    assert "authorization" not in headers, "the API server takes that one for itself"
    assert body == {
        "model": "chat",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "stream": True,
        "max_tokens": 32,
    }


def test_standard_input_is_a_message(chat, served):
    assert chat(stdin="Read\nthis\n").stdout == "Hello!\n"
    assert served.asked[0][2]["messages"] == [{"role": "user", "content": "Read\nthis"}]
    assert chat(stdin=" ").exit_code == 1


@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_given_key_reads_no_secret(chat, served, way, monkeypatch):
    if way == "environment":
        monkeypatch.setenv("GEMMA_API_KEY", "sk-mine")
    result = chat("Hello", *(["--key", "sk-mine"] if way == "option" else []), secret=500)
    assert result.exit_code == 0, result.output
    assert served.asked[0][1]["x-api-key"] == "sk-mine"


def test_a_url_of_ones_own(chat, served):
    result = chat("Hello", "--url", f"{served.url}/v1/")
    assert result.stdout == "Hello!\n"
    path, headers, _ = served.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"


def test_a_url_and_a_key_need_no_cluster(run, served, monkeypatch):
    async def connect(**_: Any) -> None:
        raise AssertionError("the cluster is asked")

    monkeypatch.setattr(session, "connect", connect)
    arguments = ("chat", "chat", "Hello", "--url", f"{served.url}/v1", "--key", KEY)
    result = run(*arguments)
    assert result.stdout == "Hello!\n", result.output
    [(path, headers, body)] = served.asked
    assert (path, headers["authorization"], body["model"]) == ("/v1/chat/completions", f"Bearer {KEY}", "chat")
    served.refuse(401, {"error": {"message": "no"}})
    assert "the Secret <router>-keys of the namespace" in run(*arguments).stderr
    served.refuse(500, {"error": {"message": "oops"}})
    assert "see kubectl gemma status chat -n team" in run(*arguments, "-n", "team").stderr


def test_another_key_where_there_is_no_default(chat, served):
    chat("Hello", secret=secret(team="sk-b", alice="sk-a"))
    assert served.asked[0][1]["x-api-key"] == "sk-a"


def test_a_wait_is_told_once_and_not_in_the_answer(chat, served):
    served.body = ": waiting\n\n: waiting\n\n" + says("there")
    obj = gdep("chat", startup={"p50Seconds": 95, "p90Seconds": 140, "samples": 4})
    result = chat("Hello", obj=obj)
    assert result.stdout == "there\n"
    assert result.stderr.count("waits for a replica, a start usually takes 95 s") == 1


def test_an_answer_that_is_cut(chat, served):
    served.body = says("long", finish="length")
    assert "raise --max-tokens" in chat("Hello").stderr
    served.body = event({"choices": [{"delta": {"content": "bro"}}]})
    result = chat("Hello")
    assert result.exit_code == 1
    assert "broke off" in result.stderr


def status(code: int, message: str) -> Object:
    return {"kind": "Status", "code": code, "message": message}


@pytest.mark.parametrize(
    ("code", "body", "headers", "words"),
    [
        (401, {"error": {"message": "The API key is not known here."}}, {}, "refuses the key: The API key is not"),
        (404, {"error": {"message": "no such model"}}, {}, "does not serve chat yet: no such model"),
        (503, {"error": {"message": "no replica"}}, {"Retry-After": "20"}, "try again in 20 s"),
        (500, {"error": {"message": "oops"}}, {}, "answers 500: oops; see kubectl gemma status chat -n cli"),
        (403, status(403, "may not create services/proxy"), {}, "the role edit has it"),
        (
            404,
            status(404, "not found"),
            {},
            "there is no Service gemma-router that can be reached in namespace cli (not found)",
        ),
        (503, status(503, "no endpoints available"), {}, "has no pod that answers (no endpoints available)"),
        (500, status(500, "etcd is away"), {}, "the API server answers 500: etcd is away"),
        (200, {"object": "list"}, {}, "with no stream"),
    ],
)
def test_refusals_say_what_to_do(chat, served, code, body, headers, words):
    served.refuse(code, body, **headers)
    result = chat("Hello")
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr
    assert KEY not in result.output


def test_an_error_within_the_stream(chat, served):
    served.body = event({"error": {"message": "the engine died"}})
    result = chat("Hello")
    assert result.exit_code == 1
    assert "ended the answer: the engine died" in result.stderr
    served.body = "data: <html>\n\n"
    assert "is this the address of an OpenAI API?" in chat("Hello").stderr


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (403, "you may not read Secret gemma-router-keys of namespace cli: give a client key with --key"),
        (None, "Secret gemma-router-keys does not exist in namespace cli"),
        ({"data": None}, "holds no key"),
    ],
)
def test_without_a_key(chat, served, found, words):
    result = chat("Hello", secret=found)
    assert result.exit_code == 1
    assert words in result.stderr
    assert not served.asked


def test_the_key_is_in_the_secret_that_the_router_mounts(chat, served):
    assert chat("Hello", secret_name="keys-of-ours").exit_code == 0
    [(_, headers, _)] = served.asked
    assert headers["x-api-key"] == KEY


def test_without_a_router(chat):
    obj = gdep("chat")
    obj["spec"] = {"router": {"enabled": False}}
    assert "spec.router.enabled of chat is false" in chat("Hello", obj=obj).stderr


def test_nobody_there(chat):
    result = chat("Hello", "--url", "http://127.0.0.1:1/v1")
    assert result.exit_code == 1
    assert "shows whether it runs" in result.stderr


def test_a_conversation_on_a_terminal(chat, served, monkeypatch):
    said = iter(["Hello", "", "And now?"])

    def read(_: str) -> str:
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    terminal = type("Terminal", (), {"isatty": lambda self: True})()
    module: Any = importlib.import_module("gemma_operator.cli.chat")
    monkeypatch.setattr(module, "input", read, raising=False)
    real = module.sys

    class Sys:
        """The standard streams, with a terminal to read from."""

        stdin = terminal

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    monkeypatch.setattr(module, "sys", Sys())
    result = chat()
    assert result.stdout == "Hello!\nHello!\n"
    assert [m["content"] for m in served.asked[1][2]["messages"]] == ["Hello", "Hello!", "And now?"]
