"""One streaming question to a router: through the API server's proxy of its Service, or at a URL.

The API server takes the `Authorization` header for itself, so the client key goes as `x-api-key`, which the router
takes as well.
"""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from gemma_operator.api import names
from gemma_operator.api.errors import Transient
from gemma_operator.cli.failure import CliError
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.resources import SERVICES, Object

_QUIET_SECONDS: Final = 1800
"""Longer than any wait that the router allows; it sends comments meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What came next in an answer."""

    text: str = ""
    thought: str = ""
    waits: bool = False
    """The router says that the request waits."""
    finish: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """Where questions go."""

    namespace: str | None
    """`None`: not known, as the cluster was not asked."""
    name: str
    """Empty: not known."""
    deployment: str
    url: str | None
    """Base URL of an OpenAI API; `None`: the Service, through the API server."""

    def __str__(self) -> str:
        return self.url or f"router {self.namespace}/{self.name}"

    @property
    def look(self) -> str:
        """The command that shows how the deployment is."""
        return f"kubectl gemma status {self.deployment}" + (f" -n {self.namespace}" if self.namespace else "")


async def ask(router: Router, body: Object, *, key: str, client: Client | None) -> AsyncIterator[Piece]:
    """The answer piece by piece; raises `CliError` that says what to do. The key is part of no message.

    `client` may be `None` where the router has a URL.
    """
    try:
        async with _opened(router, body, key=key, client=client) as answer:
            if answer.status >= 300:
                raise _refused(router, answer.status, await answer.read(), retry=answer.headers.get("Retry-After", ""))
            if "text/event-stream" not in answer.headers.get("Content-Type", ""):
                raise CliError(f"{router} answers, but with no stream: is this the address of an OpenAI API?")
            async for line in answer.content:
                piece = _piece(router, line.decode(errors="replace").strip())
                if piece is not None:
                    yield piece
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise CliError(f"{router}: {type(error).__name__}: {error}; `{router.look}` shows whether it runs") from None


@contextlib.asynccontextmanager
async def _opened(
    router: Router, body: Object, *, key: str, client: Client | None
) -> AsyncIterator[aiohttp.ClientResponse]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=_QUIET_SECONDS)
    if router.url is not None:
        url, headers = f"{router.url.rstrip('/')}/chat/completions", {"Authorization": f"Bearer {key}"}
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.post(url, json=body, headers=headers) as answer,
        ):
            yield answer
        return
    assert client is not None, "the way through the API server needs its client"
    service = f"http:{router.name}:{names.HTTP_PORT_NAME}"
    path = SERVICES.path(namespace=router.namespace, name=service, subresource="proxy")
    answer = await client.stream(f"{path}/v1/chat/completions", body, headers={"x-api-key": key}, limits=timeout)
    try:
        yield answer
    finally:
        answer.close()


def _piece(router: Router, line: str) -> Piece | None:
    """One line of a stream of server-sent events."""
    if line.startswith(":"):
        return Piece(waits=True)
    if not line.startswith("data:"):
        return None
    data = line.removeprefix("data:").strip()
    if data == "[DONE]":
        return None
    try:
        event: Any = json.loads(data)
    except ValueError:
        raise CliError(f"{router} sent what is no JSON: is this the address of an OpenAI API?") from None
    if isinstance(event, dict) and event.get("error"):
        raise CliError(f"{router} ended the answer: {_message(event)}")
    choices = event.get("choices") or [{}]
    delta = choices[0].get("delta") or {}
    return Piece(
        text=delta.get("content") or "",
        thought=delta.get("reasoning_content") or delta.get("reasoning") or "",
        finish=choices[0].get("finish_reason") or "",
    )


def _refused(router: Router, status: int, data: bytes, *, retry: str) -> Exception:
    try:
        answer: Any = json.loads(data)
    except ValueError:
        answer = {}
    if isinstance(answer, dict) and answer.get("kind") == "Status":
        return _by_api_server(router, status, str(answer.get("message", "")))
    said = _message(answer)
    look = router.look
    match status:
        case 401 | 403:
            secret = f"Secret {router.name}-keys" if router.name else "the Secret <router>-keys of the namespace"
            return CliError(
                f"{router} refuses the key: {said}; give one that {secret} holds with --key or $GEMMA_API_KEY"
            )
        case 404:
            return CliError(f"{router} does not serve {router.deployment} yet: {said}; see {look}")
        case 429 | 503:
            later = f" in {retry} s" if retry else ""
            return CliError(f"{router} cannot take the request now: {said}; see {look}, and try again{later}")
        case _:
            return CliError(f"{router} answers {status}: {said or 'no explanation'}; see {look}")


def _by_api_server(router: Router, status: int, message: str) -> Exception:
    if status == 403:
        return CliError(
            f"you may not reach Services of namespace {router.namespace} through the API server: {message}; ask for "
            "create on services/proxy (the role edit has it), or give the router's address with --url"
        )
    if status == 404:
        return CliError(
            f"there is no Service {router.name} that can be reached in namespace {router.namespace} ({message}): see "
            f"`{router.look}`"
        )
    if status == 503:
        return CliError(
            f"{router} has no pod that answers ({message}): see kubectl get pods -n {router.namespace} -l "
            f"{names.ROUTER_LABEL}={router.name}"
        )
    return Transient(f"the API server answers {status}: {message}")


def _message(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    found = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(found or "").split())[:500]
