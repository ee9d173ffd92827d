"""The outermost layer, around an application made for the test."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gemma_router.gate import CALLER, Gate, Receive, Scope
from gemma_router.keepalive import Message, Send
from gemma_router.metrics import Metrics
from gemma_router.requests import ClientRequest, current

KEY = (b"authorization", b"Bearer client-key")
NUMBERS = {"endpoints": 1, "ejected": 0, "unsampled": 0, "inFlight": 2, "heldNoEndpoint": 0, "heldBusy": 3}
MASTER = (b"authorization", b"Bearer master-key")


class App:
    """Answers 200 in two pieces, and remembers what it saw."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.requests: list[ClientRequest | None] = []
        self.error: BaseException | None = None
        self.reads = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        request = current.get()
        self.requests.append(request)
        if request is not None:
            request.deployment = "chat"
        if self.error is not None:
            raise self.error
        while self.reads and (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})


class Setup:
    def __init__(self) -> None:
        self.app = App()
        self.finished: list[ClientRequest] = []
        self.ready = True
        self.stopping = False
        self.sent: list[Message] = []
        self.body: tuple[bytes, ...] = ()
        self.metrics = Metrics(lambda: {"chat": NUMBERS})
        self.gate = Gate(
            self.app,
            client={"client-key": "team"}.get,
            is_master=lambda key: key == "master-key",
            ready=lambda: self.ready,
            finished=self.finished.append,
            metrics=self.metrics,
            stopping=lambda: self.stopping,
            comment_seconds=60,
        )

    async def ask(self, path: str, *headers: tuple[bytes, bytes], method: str = "POST", kind: str = "http") -> int:
        parts = iter(self.body)

        async def receive() -> Message:
            part = next(parts, None)
            if part is None:
                raise AssertionError("the gate reads no body")
            return {"type": "http.request", "body": part, "more_body": part != self.body[-1]}

        async def send(message: Message) -> None:
            self.sent.append(message)

        self.sent.clear()
        scope = {"type": kind, "path": path, "method": method, "headers": list(headers)}
        await self.gate(scope, receive, send)
        return int(self.sent[0].get("status", 0)) if self.sent else 0

    def text(self) -> str:
        return self.metrics.exposition().decode()


@pytest.fixture
def setup() -> Setup:
    return Setup()


async def test_a_request_without_a_key_never_reaches_the_application(setup: Setup) -> None:
    assert await setup.ask("/v1/chat/completions") == 401
    assert json.loads(setup.sent[1]["body"])["error"]["code"] == "missing_api_key"
    assert (b"connection", b"close") in setup.sent[0]["headers"]
    assert setup.app.scopes == []
    assert 'gemma_router_denied_total{code="missing_api_key"} 1.0' in setup.text()


async def test_a_clients_request_is_marked_passed_on_piece_by_piece_and_closed(setup: Setup) -> None:
    assert await setup.ask("/v1/chat/completions", KEY) == 200
    assert [message.get("body") for message in setup.sent] == [None, b"a", b"b"]
    assert setup.app.scopes[0]["state"][CALLER].name == "team"
    assert setup.finished == setup.app.requests
    assert setup.finished[0].client == "team"
    assert current.get() is None
    assert 'gemma_router_requests_total{client="team",code="200",deployment="chat"} 1.0' in setup.text()
    assert 'gemma_router_first_byte_seconds_count{deployment="chat"} 1.0' in setup.text()


async def test_a_body_is_measured_as_it_is_read_whatever_its_headers_say(setup: Setup) -> None:
    setup.app.reads, setup.body = True, (b"12345", b"6", b"789")
    assert await setup.ask("/v1/chat/completions", KEY, (b"transfer-encoding", b"chunked")) == 200
    assert await setup.ask("/v1/chat/completions", KEY, (b"content-length", b"1")) == 200
    assert [request.size for request in setup.finished] == [9, 9]


async def test_a_request_that_ends_in_an_exception_is_closed_too(setup: Setup) -> None:
    setup.app.error = RuntimeError("client left")
    with pytest.raises(RuntimeError):
        await setup.ask("/v1/chat/completions", KEY)
    assert len(setup.finished) == 1
    assert current.get() is None
    assert 'code="499"' in setup.text()


async def test_waits_and_refusals_are_counted(setup: Setup) -> None:
    class Waited(App):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            request = current.get()
            assert request is not None
            request.waited["chat"] = 2.0
            request.refused = "full"
            await super().__call__(scope, receive, send)

    setup.gate._app = Waited()
    await setup.ask("/v1/chat/completions", KEY)
    assert 'gemma_router_wait_seconds_sum{deployment="chat"} 2.0' in setup.text()
    assert 'gemma_router_refused_total{deployment="chat",reason="full"} 1.0' in setup.text()


async def test_a_pod_that_is_told_to_stop_sends_its_clients_elsewhere(setup: Setup) -> None:
    assert await setup.ask("/v1/chat/completions", KEY) == 200
    assert (b"connection", b"close") not in setup.sent[0]["headers"]
    setup.stopping = True
    assert await setup.ask("/v1/chat/completions", KEY) == 200
    assert (b"connection", b"close") in setup.sent[0]["headers"]


async def test_administration_is_no_client_request(setup: Setup) -> None:
    assert await setup.ask("/model/info", MASTER) == 200
    assert setup.app.scopes[0]["state"][CALLER].is_admin
    assert setup.app.requests == [None]
    assert setup.finished == []


async def test_readiness_waits_for_the_first_apply_and_liveness_does_not(setup: Setup) -> None:
    setup.ready = False
    assert await setup.ask("/health/readiness", method="GET") == 503
    assert await setup.ask("/health/liveliness", method="GET") == 200
    setup.ready = True
    assert await setup.ask("/health/readiness", method="GET") == 200


async def test_a_preflight_passes_and_a_bare_options_does_not(setup: Setup) -> None:
    asks: tuple[bytes, bytes] = (b"access-control-request-method", b"POST")
    assert await setup.ask("/v1/chat/completions", asks, method="OPTIONS") == 200
    assert "state" not in setup.app.scopes[0]
    assert await setup.ask("/v1/chat/completions", method="OPTIONS") == 401


async def test_websockets_are_refused(setup: Setup) -> None:
    await setup.ask("/v1/realtime", KEY, kind="websocket")
    assert setup.sent == [{"type": "websocket.close", "code": 1008}]
    assert setup.app.scopes == []


async def test_the_lifespan_passes(setup: Setup) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    setup.gate._app = app
    await setup.gate({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]


def test_gauges_are_read_when_they_are_scraped(setup: Setup) -> None:
    assert 'gemma_router_requests_held{deployment="chat",reason="busy"} 3.0' in setup.text()
    assert 'gemma_router_requests_held{deployment="chat",reason="no_endpoint"} 0.0' in setup.text()
    assert 'gemma_router_requests_in_flight{deployment="chat"} 2.0' in setup.text()
    assert 'gemma_router_endpoints{deployment="chat"} 1.0' in setup.text()
