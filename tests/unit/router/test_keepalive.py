"""Comments while a stream waits, and what becomes of the answer after them."""

from __future__ import annotations

import asyncio
import json

import pytest
from gemma_router.keepalive import COMMENT, Keepalive, Message, error_event

STREAM: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
REFUSED: Message = {"type": "http.response.start", "status": 503, "headers": [(b"content-type", b"application/json")]}
ERROR = {"message": "deployment 'chat' has no endpoint", "type": "None", "param": "None", "code": "503"}


class Server:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def comments(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.bodies()) < count:  # noqa: ASYNC110  # a list has no event
                await asyncio.sleep(0)

    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent if message["type"] == "http.response.body"]


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def test_a_request_that_does_not_wait_passes_untouched() -> None:
    server = Server()
    keepalive = Keepalive(server.send, path="/v1/chat/completions", seconds=0)
    for message in (STREAM, body(b"a", more=True), body(b"")):
        await keepalive.send(message)
    keepalive.begin()
    assert server.sent == [STREAM, body(b"a", more=True), body(b"")]


async def test_an_answer_before_the_first_comment_passes_untouched() -> None:
    server = Server()
    keepalive = Keepalive(server.send, path="/v1/chat/completions", seconds=60)
    keepalive.begin()
    await keepalive.send(REFUSED)
    await keepalive.send(body(b"{}"))
    assert server.sent == [REFUSED, body(b"{}")]


async def test_comments_come_until_the_stream_does() -> None:
    server = Server()
    keepalive = Keepalive(server.send, path="/v1/chat/completions", seconds=0.001)
    keepalive.begin()
    await server.comments(2)
    await keepalive.send(STREAM)
    so_far = len(server.bodies())
    await keepalive.send(body(b"data: 1\n\n", more=True))
    await keepalive.send(body(b""))
    assert [message["type"] for message in server.sent].count("http.response.start") == 1
    assert server.sent[0]["status"] == 200
    assert (b"content-type", b"text/event-stream; charset=utf-8") in server.sent[0]["headers"]
    assert server.bodies()[:so_far] == [COMMENT] * so_far
    assert server.bodies()[so_far:] == [b"data: 1\n\n", b""]


async def test_a_failure_after_a_comment_is_an_event_and_the_end() -> None:
    server = Server()
    keepalive = Keepalive(server.send, path="/v1/chat/completions", seconds=0.001)
    keepalive.begin()
    await server.comments(1)
    await keepalive.send(REFUSED)
    content = json.dumps({"error": ERROR}).encode()
    await keepalive.send(body(content[:5], more=True))
    await keepalive.send(body(content[5:]))
    last = server.sent[-1]
    assert last["body"].startswith(b"data: ")
    assert json.loads(last["body"].removeprefix(b"data: ")) == {"error": ERROR}
    assert not last.get("more_body")
    assert server.sent[0]["status"] == 200


async def test_the_end_of_the_request_ends_the_comments() -> None:
    server = Server()
    keepalive = Keepalive(server.send, path="/v1/chat/completions", seconds=0.001)
    keepalive.begin()
    await server.comments(1)
    keepalive.end()
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "keepalive"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/completions"])
def test_openais_streams_get_the_error_as_it_is(path: str) -> None:
    event = error_event(path, status=503, body=json.dumps({"error": ERROR}).encode())
    assert event == f"data: {json.dumps({'error': ERROR})}\n\n".encode()


def test_each_api_has_its_own_form_of_an_error() -> None:
    content = json.dumps({"error": ERROR}).encode()
    name, data = error_event("/v1/messages", status=503, body=content).decode().splitlines()[:2]
    assert name == "event: error"
    error = json.loads(data.removeprefix("data: "))
    assert error == {"type": "error", "error": {"type": "overloaded_error", "message": ERROR["message"]}}
    name, data = error_event("/v1/responses", status=503, body=content).decode().splitlines()[:2]
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["message"] == ERROR["message"]


@pytest.mark.parametrize("content", [b"Bad Gateway", b"[]", b'{"detail": "x"}'])
def test_a_body_that_is_no_error_of_openai_is_told_as_it_is(content: bytes) -> None:
    event = error_event("/v1/chat/completions", status=502, body=content)
    assert json.loads(event.removeprefix(b"data: "))["error"]["message"] == content.decode()
