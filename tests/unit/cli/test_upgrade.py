"""`kubectl gemma upgrade`: what is rolled, what is left alone, and how one's upgrade ends."""

import asyncio
import copy
import json
from typing import Any

import pytest
from gemma_operator.cli import session, upgrade
from gemma_operator.cli.live import Cluster
from gemma_operator.cli.upgrading import Progress, progress
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, Resource

from tests.unit.cli.test_status import RECORDED, condition
from tests.unit.inventory.builders import Object, node

TOKEN = "gemma4stack.dev/upgrade"


class Api:
    """The recorded cluster with an operator that answers each request for an upgrade as it is told."""

    def __init__(self, *objects: Object, fails: str = "", seen: bool = True) -> None:
        self._objects = {obj["metadata"]["name"]: copy.deepcopy(obj) for obj in objects}
        self._fails, self._seen = fails, seen
        self.asked: list[str] = []

    async def list(self, resource: Resource, *, namespace: str | None = None, **_: Any) -> tuple[list[Object], str]:
        await asyncio.sleep(0)
        assert resource is GEMMA_DEPLOYMENTS
        return list(self._objects.values()), "1"

    async def get(self, resource: Resource, *, name: str, namespace: str) -> Object | None:
        await asyncio.sleep(0)
        if resource is GEMMA_DEPLOYMENTS:
            return self._objects.get(name)
        assert resource is DEPLOYMENTS
        [recorded] = [obj for obj in RECORDED["deployments"] if obj["metadata"]["name"] == "chat-0"]
        return {**recorded, "metadata": {**recorded["metadata"], "name": name}}

    async def patch(self, resource: Resource, *, name: str, namespace: str, body: Object, manager: str) -> None:
        await asyncio.sleep(0)
        assert (resource, manager) == (GEMMA_DEPLOYMENTS, "kubectl-gemma")
        self.asked.append(name)
        token = body["metadata"]["annotations"][TOKEN]
        stalled = condition("Stalled", "True", "RolledBack", "taken back: no such flag")
        good = condition("Ready", "True", "Serving", "1 of 1 replicas serve")
        if self._seen:
            status = {"observedUpgrade": token, "conditions": [good, *([stalled] if name == self._fails else [])]}
            self._objects[name]["status"].update(status)

    async def close(self) -> None:
        await asyncio.sleep(0)


def named(name: str, **metadata: Any) -> Object:
    [chat] = [obj for obj in RECORDED["gdeps"] if obj["metadata"]["name"] == "chat"]
    return {**chat, "metadata": {**chat["metadata"], "name": name, **metadata}}


@pytest.fixture
def invoke(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """`invoke(api, "--all")`, with an operator's configuration that has another engine."""
    (tmp_path / "config.yaml").write_text("engine: {version: 0.32.1}\n")

    def call(api: Api, *arguments: str, newer: bool = True) -> Any:
        async def connect(**_: Any) -> Api:
            await asyncio.sleep(0)
            return api

        found = Cluster.of([node("l4-a", gpu="l4", gpus=4), *RECORDED["pods"], *RECORDED["deployments"]])
        monkeypatch.setattr(session, "connect", connect)
        monkeypatch.setattr(upgrade, "read_cluster", lambda **_: found)
        config = ("--config", tmp_path / "config.yaml") if newer else ()
        return run("upgrade", *arguments, "-n", "cli", *config)

    return call


def test_the_preview_changes_nothing(invoke: Any) -> None:
    api = Api(named("chat"))
    result = invoke(api, "--all", "--dry-run")
    assert result.exit_code == 0, result.output
    [row] = [line.split() for line in result.stdout.splitlines() if line.startswith("cli ")]
    assert row[:6] == ["cli", "chat", "roll", "engine", "0.32.0", "→"]
    assert any(line.startswith("+") and ":v0.32.1" in line for line in result.stdout.splitlines())
    assert api.asked == []


def test_what_is_current_is_left_alone(invoke: Any) -> None:
    api = Api(named("chat"))
    result = invoke(api, "--all", newer=False)
    assert result.exit_code == 0, result.output
    assert "runs the current version" in result.stdout
    assert api.asked == []


def test_named_ones_are_upgraded_in_their_order(invoke: Any) -> None:
    api = Api(named("chat"), named("other"), named("third"))
    result = invoke(api, "third", "chat", "third", "-o", "json")
    assert result.exit_code == 0, result.output
    assert api.asked == ["third", "chat"]
    items = json.loads(result.stdout)["items"]
    assert [each["step"] for each in items] == ["roll", "roll"]
    assert {each["outcome"]["result"] for each in items} == {"upgraded"}


def test_the_first_failure_ends_it(invoke: Any) -> None:
    api = Api(named("chat"), named("other"), named("third"), fails="other")
    result = invoke(api, "chat", "other", "third")
    assert result.exit_code == 1
    assert "cli/other was not upgraded: RolledBack: taken back: no such flag" in result.stderr
    assert "not begun: cli/third" in result.stderr
    assert api.asked == ["chat", "other"]


def test_programs_are_told_how_each_ended(invoke: Any) -> None:
    paused = named("paused", annotations={"gemma4stack.dev/paused": ""})
    api = Api(named("chat"), named("other"), named("third"), paused, fails="other")
    result = invoke(api, "chat", "other", "third", "paused", "-o", "json")
    assert result.exit_code == 1
    outcomes = {each["name"]: each["outcome"] for each in json.loads(result.stdout)["items"]}
    failed = "cli/other was not upgraded: RolledBack: taken back: no such flag"
    assert outcomes == {
        "chat": {"result": "upgraded", "message": "1 of 1 replicas serve"},
        "other": {"result": "failed", "message": failed},
        "third": {"result": "notBegun", "message": ""},
        "paused": None,
    }
    preview = json.loads(invoke(Api(named("chat")), "chat", "--dry-run", "-o", "json").stdout)["items"]
    assert "outcome" not in preview[0]


def test_an_operator_that_does_not_answer_is_told(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "_LOOK_SECONDS", 0.01)
    result = invoke(Api(named("chat"), seen=False), "chat", "--timeout", "1")
    assert result.exit_code == 1
    assert "not ready after 1 s: the operator has not seen it yet" in result.stderr
    assert "kubectl gemma doctor" in result.stderr


def test_a_paused_and_a_broken_one_are_skipped(invoke: Any) -> None:
    paused = named("paused", annotations={"gemma4stack.dev/paused": ""})
    broken = {**named("broken", uid="another"), "spec": {"model": "e4b", "context": "long"}}
    result = invoke(Api(paused, broken), "--all", "-o", "json")
    found = {each["name"]: each for each in json.loads(result.stdout)["items"]}
    assert found["paused"]["summary"] == "paused: remove the annotation gemma4stack.dev/paused first"
    assert "context" in found["broken"]["summary"]
    assert {each["step"] for each in found.values()} == {"skip"}


def test_an_operator_of_another_version_is_noticed(invoke: Any) -> None:
    told = named("chat")
    told = {**told, "status": {**told["status"], "outdated": "engine vllm 0.32.0, now 0.33.0"}}
    result = invoke(Api(told), "--all", "--dry-run", newer=False)
    assert "use the kubectl-gemma of the operator's version" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name GemmaDeployments, or give --all"),
        (["chat", "--all"], "name GemmaDeployments, or give --all"),
        (["chat", "-A"], "--all-namespaces goes with --all"),
    ],
)
def test_wrong_usage(invoke: Any, arguments: list[str], told: str) -> None:
    result = invoke(Api(named("chat")), *arguments)
    assert result.exit_code == 1
    assert told in result.stderr


def test_a_status_of_before_says_nothing_of_the_upgrade() -> None:
    """A failure that is known from the attempt before must not end the next one."""
    stalled = condition("Stalled", "True", "RolledBack", "as before")
    ready = condition("Ready", "True", "Serving", "serves")
    obj = {"status": {"observedUpgrade": "1", "conditions": [ready, stalled]}}
    assert progress(obj, token="2")[0] is Progress.waiting
    assert progress(obj, token="1") == (Progress.failed, "RolledBack: as before")
    obj["status"]["conditions"] = [condition("Ready", "False", "RollingOut", "0 of 1")]
    assert progress(obj, token="1") == (Progress.waiting, "0 of 1")
    obj["status"]["conditions"] = [ready]
    assert progress(obj, token="1") == (Progress.done, "serves")
