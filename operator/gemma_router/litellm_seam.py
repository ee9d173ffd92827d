"""The only module that touches LiteLLM 1.108.7. Its objects are untyped, so `Any` ends here."""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection, Mapping
from typing import Any

import litellm
from fastapi import HTTPException, Request  # type: ignore[import-not-found]  # comes with LiteLLM only
from litellm.integrations.custom_logger import CustomLogger
from litellm.llms.custom_httpx import http_handler
from litellm.proxy import proxy_server
from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth
from litellm.types.router import Deployment

from .access import Caller
from .dispatch import Dispatcher
from .failures import judge
from .gate import CALLER, App
from .proxy_config import SILENCE_SECONDS
from .requests import current
from .unavailable import Unavailable

log = logging.getLogger(__name__)

OPEN_CALLER = Caller("probe")


class RouterBackend:
    """`members.Backend` on the proxy's router object, which exists once the configuration is loaded."""

    def upsert(self, deployment: Mapping[str, Any]) -> None:
        """Add or replace one entry of the model list."""
        router().upsert_deployment(Deployment(**deployment))

    def delete(self, member_id: str) -> None:
        """Remove one entry of the model list."""
        router().delete_deployment(id=member_id)

    def settings(self, *, aliases: dict[str, str], fallbacks: list[dict[str, list[str]]]) -> None:
        """Replace aliases and fallbacks."""
        router().update_settings(model_group_alias=aliases, fallbacks=fallbacks)


def router() -> Any:
    """Return the proxy's router object. Raises `RuntimeError` before the configuration is loaded."""
    if proxy_server.llm_router is None:
        raise RuntimeError("LiteLLM has not loaded its configuration yet")
    return proxy_server.llm_router


def router_exists() -> bool:
    """Whether LiteLLM has loaded its configuration."""
    return proxy_server.llm_router is not None


def wrap_app(wrap: Any) -> None:
    """Put an ASGI layer around the running application, outside all of LiteLLM's own.

    `add_middleware` refuses after the lifespan has begun, and a start-up hook runs within it.
    """
    inner: App = proxy_server.app.middleware_stack
    proxy_server.app.middleware_stack = wrap(inner)


def bound_silence() -> None:
    """Have connections to engines end when nothing is acknowledged for `SILENCE_SECONDS`.

    The kernel sends no keep-alive while something that it has sent waits for its acknowledgement: a request that goes
    out on a kept connection to a node that has just vanished would wait for a quarter of an hour.
    """
    build = http_handler.build_aiohttp_keepalive_socket_factory

    def bounded() -> Any:
        factory = build()

        def make(address: Any) -> socket.socket:
            made: socket.socket = factory(address)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000)
            return made

        return factory and make

    http_handler.build_aiohttp_keepalive_socket_factory = bounded


async def authenticate(request: Request, api_key: str) -> Any:
    """LiteLLM's `custom_auth`: turn the caller that the gate found into LiteLLM's identity.

    A request that did not pass the gate has no caller and is refused.
    """
    caller = getattr(request.state, CALLER, OPEN_CALLER)
    if isinstance(caller, Caller) and caller.is_admin:
        return UserAPIKeyAuth(api_key=caller.name, key_alias=caller.name, user_role=LitellmUserRoles.PROXY_ADMIN)
    if caller is None:
        return UserAPIKeyAuth(api_key="probe", user_role=LitellmUserRoles.INTERNAL_USER_VIEW_ONLY)
    if caller is OPEN_CALLER:
        raise HTTPException(401, "the request did not pass the key check of gemma_router")
    # The name of the key, never the key: LiteLLM puts this into logs.
    return UserAPIKeyAuth(
        api_key=f"client:{caller.name}",
        key_alias=caller.name,
        user_id=caller.name,
        user_role=LitellmUserRoles.INTERNAL_USER,
    )


class Callback(CustomLogger):  # type: ignore[misc]  # untyped base class
    """LiteLLM's callbacks, each a line or two around the dispatcher."""

    def __init__(self, dispatcher: Dispatcher, *, names: Any) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._names = names

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> Any:
        """Refuse names that are no deployment and no alias: LiteLLM would take ids of single endpoints too."""
        model, names = data.get("model"), self._names()
        if model not in names:
            raise unknown_model(model, names)
        # A client's own count would beat ours, also on a 503 that must not be tried again.
        data.pop("num_retries", None)
        if data.get("stream") and (request := current.get()) is not None:
            request.streams()
        return data

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: Any,
        messages: Any,
        request_kwargs: Any = None,
        parent_otel_span: Any = None,
    ) -> Any:
        """Leave the one endpoint that this attempt goes to. Awaited for every attempt, also with an empty list."""
        request = current.get()
        try:
            member_id = await self._dispatcher.pick(model, request)
        except Unavailable as error:
            if request is not None:
                request.refused = error.reason
            raise unavailable(error) from None
        for entry in (*healthy_deployments, *(router().get_model_list(model_name=model) or ())):
            if entry["model_info"]["id"] == member_id:
                return [entry]
        log.error("endpoint %s is chosen but unknown to LiteLLM", member_id)
        return []

    async def async_post_call_failure_deployment_hook(
        self, request_data: Any, exception: Any, call_type: Any, fallback_depth: Any = None
    ) -> None:
        """Hear of every failed attempt, before the next one is chosen."""
        member_id = (request_data.get("model_info") or {}).get("id")
        failure = judge(exception)
        if member_id and failure:
            self._dispatcher.failed(member_id, failure)


def register(callback: Callback) -> None:
    """Make LiteLLM call back. By object, because naming it in the configuration would import the file again."""
    litellm.logging_callback_manager.add_litellm_callback(callback)


def unavailable(error: Unavailable) -> Exception:
    """Return the 503 with Retry-After for a request that was given up, and keep LiteLLM from retrying it."""
    answer = HTTPException(503, detail=str(error), headers={"Retry-After": str(error.retry_after)})
    answer.num_retries = 0  # read by LiteLLM's retry loop
    return answer  # type: ignore[no-any-return]  # untyped class


def unknown_model(model: object, names: Collection[str]) -> Exception:
    """Return OpenAI's 404 for a model name that this router does not have."""
    have = ", ".join(sorted(names)) or "none yet"
    return ProxyException(  # type: ignore[no-any-return]  # untyped class
        message=f"The model {model!r} does not exist on this router. It has: {have}.",
        type="invalid_request_error",
        param="model",
        code=404,
        openai_code="model_not_found",
    )
