"""Keeps LiteLLM's model list equal to the members we want, by set difference and without a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from .endpoints import Member
from .routes import Route, aliases, fallbacks

log = logging.getLogger(__name__)

NOWHERE = "http://127.0.0.1:9/v1"
"""Of the member that never serves: the discard port, where nothing listens in a container."""


class Backend(Protocol):
    """The three things we do to LiteLLM's router."""

    def upsert(self, deployment: Mapping[str, Any]) -> None:
        """Add a model-list entry, or replace the one of the same `model_info.id`."""

    def delete(self, member_id: str) -> None:
        """Remove an entry; requests that already run there go on."""

    def settings(self, *, aliases: dict[str, str], fallbacks: list[dict[str, list[str]]]) -> None:
        """Replace aliases and fallbacks."""


class MemberTable:
    """What was applied, so that a further apply changes only what differs."""

    def __init__(self, backend: Backend, *, engine_key: str, timeout: float) -> None:
        self._backend = backend
        self._engine_key = engine_key
        self._timeout = timeout
        self._applied: dict[str, Mapping[str, Any]] = {}
        self._settings: tuple[dict[str, str], list[dict[str, list[str]]]] | None = None

    async def apply(self, routes: tuple[Route, ...], members: Mapping[str, Member]) -> None:
        """Make LiteLLM serve exactly these. Adds before it removes, so that a swap leaves no gap.

        Raises what LiteLLM raises; what was done until then stays done and the next call goes on from there.
        """
        wanted = self._wanted(routes, members)
        for member_id, entry in wanted.items():
            if self._applied.get(member_id) != entry:
                self._backend.upsert(entry)
                self._applied[member_id] = entry
                log.info("added %s", member_id)
                # Each takes LiteLLM milliseconds: a hundred in a row would stop every running stream.
                await asyncio.sleep(0)
        settings = aliases(routes), fallbacks(routes)
        if settings != self._settings:
            self._backend.settings(aliases=settings[0], fallbacks=settings[1])
            self._settings = settings
        for member_id in self._applied.keys() - wanted.keys():
            self._backend.delete(member_id)
            del self._applied[member_id]
            log.info("removed %s", member_id)

    def _wanted(self, routes: tuple[Route, ...], members: Mapping[str, Member]) -> dict[str, Mapping[str, Any]]:
        by_name = {route.name: route for route in routes}
        # One entry that never serves keeps the name known and listed while there is no endpoint.
        wanted = {f"{name}@hold": self._entry(route, f"{name}@hold", NOWHERE) for name, route in by_name.items()}
        for member_id, member in members.items():
            wanted[member_id] = self._entry(by_name[member.deployment], member_id, f"{member.url}/v1")
        return wanted

    def _entry(self, route: Route, member_id: str, base: str) -> Mapping[str, Any]:
        info: dict[str, Any] = {
            "id": member_id,
            "mode": "chat",
            "input_cost_per_token": 0.0,
            "output_cost_per_token": 0.0,
        }
        if route.context_tokens is not None:
            info["max_input_tokens"] = route.context_tokens
        return {
            "model_name": route.name,
            "litellm_params": {
                "model": f"hosted_vllm/{route.name}",
                "api_base": base,
                "api_key": self._engine_key,
                "timeout": self._timeout,
                "stream_timeout": self._timeout,
            },
            "model_info": info,
        }
