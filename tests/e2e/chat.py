"""A client of the router: port-forward, key, OpenAI's own library."""

import base64
import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from openai import OpenAI

from tests.kubectl import Kubectl, eventually

ROUTER = "gemma-router"


def client_key(kubectl: Kubectl, namespace: str, *, router: str = ROUTER) -> str:
    """The client key `default` of a router."""
    data = kubectl.get("secret", f"{router}-keys", namespace=namespace)["data"]
    return base64.b64decode(data["default"]).decode()


@contextlib.contextmanager
def forwarded(kubectl: Kubectl, namespace: str, target: str, port: int) -> Iterator[int]:
    """A local port that leads to a pod or Service."""
    process = kubectl.start("port-forward", "-n", namespace, target, f":{port}")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, f"port-forward {target}: {line}"
        yield int(found.group(1))
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def router_client(
    kubectl: Kubectl, namespace: str, *, router: str = ROUTER, key: str | None = None
) -> Iterator[OpenAI]:
    """OpenAI's client of a router, with its client key unless another one is given."""
    with (
        forwarded(kubectl, namespace, f"service/{router}", 80) as port,
        OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1",
            api_key=key or client_key(kubectl, namespace, router=router),
            max_retries=0,
            timeout=120,
        ) as client,
    ):
        yield client


def ask(client: OpenAI, model: str, *, tokens: int = 16) -> str:
    """The answer to one short request, not streaming."""
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Say something."}], max_tokens=tokens
    )
    return answer.choices[0].message.content or ""


@dataclass(slots=True)
class Stream:
    """What came of one streaming request."""

    chunks: int = 0
    text: str = ""
    finish: str | None = None
    tokens: int = 0
    error: str = ""
    started: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


def stream(client: OpenAI, model: str, *, tokens: int, into: Stream | None = None) -> Stream:
    """Read one stream to its end; every failure is recorded and none raised."""
    seen = into or Stream()
    try:
        with client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Tell me a long story."}],
            max_tokens=tokens,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        ) as parts:
            for part in parts:
                if part.usage is not None:
                    seen.tokens = part.usage.completion_tokens
                if part.choices:
                    seen.chunks += 1
                    seen.started.set()
                    seen.text += part.choices[0].delta.content or ""
                    seen.finish = part.choices[0].finish_reason or seen.finish
    except Exception as error:
        # Whatever cut the stream is what the test wants to see.
        seen.error = f"{type(error).__name__}: {error}"
    finally:
        seen.started.set()
        seen.ended.set()
    return seen


def start_streams(client: OpenAI, model: str, *, count: int, tokens: int) -> list[Stream]:
    """Streams that run in threads; returns once each has its first token."""
    streams = [Stream() for _ in range(count)]
    for one in streams:
        threading.Thread(target=stream, args=(client, model), kwargs={"tokens": tokens, "into": one}).start()
    for one in streams:
        assert one.started.wait(60), "no first token after 60 s"
        assert not one.error, one.error
    return streams


def until_answered(client: OpenAI, model: str, *, tokens: int = 16, seconds: float = 60) -> str:
    """The first answer, asking again until one comes."""

    def probe() -> str:
        try:
            return ask(client, model, tokens=tokens)
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    return eventually(probe, seconds=seconds, what=f"an answer of {model}")
