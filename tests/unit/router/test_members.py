"""The set difference that is applied to LiteLLM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from gemma_router.endpoints import Member
from gemma_router.members import MemberTable
from gemma_router.routes import Route

A, B = Member("chat", "10.0.0.1", 8000), Member("chat", "fd00::1", 8000)
CHAT = Route("chat", aliases=("gpt",), context_tokens=8192)


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.entries: dict[str, Mapping[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.fallbacks: list[dict[str, list[str]]] = []
        self.refuse = ""

    def upsert(self, deployment: Mapping[str, Any]) -> None:
        member_id = deployment["model_info"]["id"]
        if member_id == self.refuse:
            raise RuntimeError("refused")
        self.calls.append(("upsert", member_id))
        self.entries[member_id] = deployment

    def delete(self, member_id: str) -> None:
        self.calls.append(("delete", member_id))
        del self.entries[member_id]

    def settings(self, *, aliases: dict[str, str], fallbacks: list[dict[str, list[str]]]) -> None:
        self.calls.append(("settings", ""))
        self.aliases, self.fallbacks = aliases, fallbacks


def table(backend: Recorder) -> MemberTable:
    return MemberTable(backend, engine_key="secret", timeout=600)


async def test_a_deployment_without_endpoints_keeps_its_name() -> None:
    backend = Recorder()
    await table(backend).apply((CHAT,), {})
    assert backend.calls == [("upsert", "chat@hold"), ("settings", "")]
    assert backend.entries["chat@hold"]["model_name"] == "chat"
    assert backend.aliases == {"gpt": "chat"}


async def test_a_member_says_where_and_how() -> None:
    backend = Recorder()
    await table(backend).apply((CHAT,), {A.id: A, B.id: B})
    entry = backend.entries["chat@10.0.0.1:8000"]
    assert entry["litellm_params"] == {
        "model": "hosted_vllm/chat",
        "api_base": "http://10.0.0.1:8000/v1",
        "api_key": "secret",
        "timeout": 600,
        "stream_timeout": 600,
    }
    assert entry["model_info"]["max_input_tokens"] == 8192
    assert backend.entries["chat@[fd00::1]:8000"]["litellm_params"]["api_base"] == "http://[fd00::1]:8000/v1"


async def test_only_the_difference_is_applied_and_additions_come_first() -> None:
    backend = Recorder()
    applied = table(backend)
    await applied.apply((CHAT,), {A.id: A})
    backend.calls.clear()
    await applied.apply((CHAT,), {A.id: A})
    assert backend.calls == []
    await applied.apply((CHAT,), {B.id: B})
    assert backend.calls == [("upsert", B.id), ("delete", A.id)]
    backend.calls.clear()
    await applied.apply((Route("chat", aliases=("gpt",), context_tokens=4096),), {B.id: B})
    assert sorted(backend.calls) == [("upsert", B.id), ("upsert", "chat@hold")]
    await applied.apply((), {})
    assert backend.entries == {}
    assert backend.aliases == {}


async def test_what_failed_is_done_by_the_next_apply() -> None:
    backend = Recorder()
    backend.refuse = A.id
    applied = table(backend)
    with pytest.raises(RuntimeError):
        await applied.apply((CHAT,), {A.id: A})
    backend.refuse = ""
    await applied.apply((CHAT,), {A.id: A})
    assert backend.calls == [("upsert", "chat@hold"), ("upsert", A.id), ("settings", "")]
