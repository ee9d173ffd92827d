"""`kubectl gemma plan --diff` against what a real operator applied."""

import asyncio
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gemma_operator.cli import main, session
from gemma_operator.cli.live import Cluster
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, Resource

from tests.unit.cli.conftest import gemma
from tests.unit.cli.test_status import RECORDED
from tests.unit.inventory.builders import Object, node

CHAT = {"model": "e4b", "accelerators": ["l4"]}
"""The spec of the recorded deployment `chat`."""


class Api:
    """What runs: the recorded objects."""

    def __init__(self, *, deployment: bool = True) -> None:
        self._deployments = RECORDED["deployments"] if deployment else []

    async def get(self, resource: Resource, *, name: str, namespace: str) -> Object | None:
        await asyncio.sleep(0)
        items = {GEMMA_DEPLOYMENTS: RECORDED["gdeps"], DEPLOYMENTS: self._deployments}[resource]
        found = [o for o in items if (o["metadata"]["namespace"], o["metadata"]["name"]) == (namespace, name)]
        return copy.deepcopy(found[0]) if found else None

    async def close(self) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def diff(run: Any, wanted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """`diff(spec, "-o", "json")`: what `plan --diff` says of `chat` with that spec."""

    def invoke(
        spec: dict[str, Any], *arguments: str, name: str = "chat", nodes: tuple[Object, ...] = (), **api: Any
    ) -> Any:
        async def connect(**_: Any) -> Api:
            await asyncio.sleep(0)
            return Api(**api)

        found = Cluster.of([*(nodes or (node("l4-a", gpu="l4", gpus=4),)), *RECORDED["pods"], *RECORDED["deployments"]])
        monkeypatch.setattr(session, "connect", connect)
        monkeypatch.setattr(main, "read_cluster", lambda **_: found)
        return run("plan", "--diff", "-n", "cli", "-f", wanted(**{name: spec}), *arguments)

    return invoke


def body(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_same_spec_changes_nothing(diff):
    result = diff(CHAT)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == "cli/chat: nothing changes"
    found = body(diff(CHAT, "-o", "json"))["diff"]
    assert found == {"verdict": "nothing changes", "rolls": False, "fields": [], "manifest": ""}


def test_a_longer_context_keeps_the_candidate_and_replaces_the_pods(diff):
    result = diff(CHAT | {"context": 16384})
    assert "the same candidate, with today's numbers; engine pods are replaced with one replica more" in result.stdout
    [row] = [line.split() for line in result.stdout.splitlines() if line.startswith("maxModelLen")]
    assert row[1:] == ["8192", "16384"]
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert "--- Deployment/chat-0 as applied" in lines
    assert "-        - --max-model-len=8192" in lines or any(line.startswith("-") and "8192" in line for line in lines)
    assert any(line.startswith("+") and "16384" in line for line in lines)
    assert body(diff(CHAT | {"context": 16384}, "-o", "json"))["diff"]["rolls"] is True


def test_in_place_where_no_gpu_is_spare(diff):
    result = diff(CHAT | {"context": 16384}, nodes=(node("l4-a", gpu="l4", gpus=1),))
    assert "engine pods are replaced in place" in result.stdout


def test_what_only_the_pods_read_shows_in_the_manifest_alone(diff):
    one = (node("l4-a", gpu="l4", gpus=1),)
    found = body(diff(CHAT | {"pod": {"labels": {"team": "search"}}}, "-o", "json", nodes=one))["diff"]
    assert found["fields"] == []
    assert found["rolls"] is True
    changed = [line for line in found["manifest"].splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert [line[0] for line in changed] == ["+"]
    assert changed[0].split() == ["+", "team:", "search"]


def test_what_no_pod_reads_changes_nothing(diff):
    found = body(diff(CHAT | {"scaling": {"min": 1, "max": 3}}, "-o", "json"))["diff"]
    assert (found["rolls"], found["manifest"], found["fields"]) == (False, "", [])


def test_another_plan(diff):
    result = diff({"model": "e2b"})
    assert "another plan, because the spec no longer allows e4b" in result.stdout
    [row] = [line.split() for line in result.stdout.splitlines() if line.startswith("model ")]
    assert row[1:] == ["e4b", "e2b"]


def test_nothing_fits_any_more(diff):
    result = diff({"model": "31b", "precision": "bf16"}, nodes=(node("l4-a", gpu="l4", gpus=1),))
    assert result.exit_code == 2
    assert "nothing fits what is asked for now, and what runs would go on" in result.stdout
    assert "Next: " in result.stdout


def test_a_new_one(diff):
    result = diff({"model": "e2b"}, name="new")
    assert "cli/new: new: nothing of this name runs" in result.stdout
    assert "nothing runs yet" in diff(CHAT, deployment=False).stdout


def test_a_dump_has_nothing_that_runs(run, wanted, cluster):
    result = run("plan", "--diff", "-f", wanted(chat={}), "--nodes", cluster())
    assert result.exit_code == 1
    assert "leave out --nodes" in result.stderr


def test_several_are_compared_one_by_one(diff, run, wanted, tmp_path):
    file = tmp_path / "two.json"
    items = [gemma("chat", CHAT), gemma("new", {"model": "e2b"})]
    file.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
    diff(CHAT)
    found = body(run("plan", "--diff", "-n", "cli", "-f", file, "-o", "json"))["items"]
    assert [(each["name"], each["diff"]["verdict"]) for each in found] == [
        ("chat", "nothing changes"),
        ("new", "new: nothing of this name runs"),
    ]
