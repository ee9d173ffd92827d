"""`kubectl gemma status` on objects as a real operator wrote them: table, screen, JSON, watch."""

import asyncio
import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from gemma_operator.api.errors import ApiError, Transient
from gemma_operator.cli import session, status
from gemma_operator.cli.failure import CliError
from gemma_operator.cli.screen import age, line
from gemma_operator.cli.view import to_json, view
from gemma_operator.cluster.resources import GEMMA_DEPLOYMENTS, PODS, Resource

from tests.unit.inventory.builders import Object, pod

RECORDED: dict[str, list[Object]] = json.loads((Path(__file__).parent / "data" / "recorded.json").read_text())
NOW = datetime(2026, 11, 25, 13, 0, tzinfo=UTC)


def gdep(name: str, **status: Any) -> Object:
    """A recorded GemmaDeployment, with some of its status replaced."""
    found = next(obj for obj in RECORDED["gdeps"] if obj["metadata"]["name"] == name)
    made = copy.deepcopy(found)
    made["status"].update(status)
    return made


def condition(kind: str, value: str, reason: str, message: str) -> Object:
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-25T12:00:00Z",
    }


class Api:
    """Answers as the operator's client does."""

    def __init__(self, *objects: Object, pods: tuple[Object, ...] = (), refused: dict[str, int] | None = None) -> None:
        self.objects, self.pods, self.refused = list(objects), list(pods), refused or {}

    def _check(self, resource: Resource) -> None:
        if status := self.refused.get(resource.plural):
            raise ApiError(status=status, reason="No", message="not yours", verb="LIST", path=resource.path())

    async def list(
        self, resource: Resource, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        await asyncio.sleep(0)
        self._check(resource)
        items = {GEMMA_DEPLOYMENTS: self.objects, PODS: self.pods}[resource]
        return [obj for obj in items if namespace in (None, obj["metadata"]["namespace"])], "1"

    async def get(self, resource: Resource, *, name: str, namespace: str) -> Object | None:
        await asyncio.sleep(0)
        self._check(resource)
        return next((obj for obj in self.objects if obj["metadata"]["name"] == name), None)

    async def close(self) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Any:
    def serve(*objects: Object, **more: Any) -> Api:
        made = Api(*objects, **more)

        async def connect(**_: Any) -> Api:
            await asyncio.sleep(0)
            return made

        monkeypatch.setattr(session, "connect", connect)
        monkeypatch.setattr(session, "current_namespace", lambda *_: "cli")
        return made

    return serve


def test_the_table_has_a_row_for_each(run, api):
    api(gdep("chat"), gdep("big"))
    result = run("status")
    assert result.exit_code == 0, result.output
    header, *rows = result.stdout.splitlines()
    assert header.split() == [
        *("NAME", "PHASE", "PLAN", "READY", "RUNNING", "WAITING", "HELD", "START", "USD/H", "PROBLEM"),
    ]
    big, chat = sorted(rows)
    assert chat.split()[:7] == ["chat", "Ready", "e4b", "bf16", "on", "1×l4", "1/1"]
    assert big.split()[:2] == ["big", "Pending"]
    assert "31b" in big


def test_one_screen_tells_it_all(run, api):
    busy = gdep(
        "chat",
        queue={"running": 12, "waiting": 3, "held": 2, "summary": "12 running", "at": "2026-11-25T12:00:00Z"},
        startup={"p50Seconds": 95, "p90Seconds": 140, "samples": 4},
        decisions=[
            {"at": "2026-11-25T12:00:00Z", "before": 1, "after": n, "reason": f"reason {n}", "inputs": {}}
            for n in range(2, 9)
        ],
    )
    result = run("status", "chat")
    assert result.exit_code == 1, "not served yet"
    api(busy, pods=tuple(RECORDED["pods"]))
    text = run("status", "chat").stdout
    recorded = next(p for p in RECORDED["pods"] if p["metadata"]["labels"].get("gemma4stack.dev/deployment") == "chat")
    for part in (
        "cli/chat  Ready  e4b bf16 on 1×l4  1/1 replicas ready",
        busy["status"]["plan"]["reason"],
        "http://gemma-router.cli.svc/v1, model chat",
        "12 running, 3 waiting in engines, 2 held by the router",
        "half within 95 s, nine of ten within 140 s (last 4 starts)",
        "USD per hour for 1 replica",
        recorded["metadata"]["name"],
        recorded["spec"]["nodeName"],
        "1 → 6",
        "reason 6",
    ):
        assert part in text
    assert "reason 7" not in text, "five decisions are enough for a screen"
    assert "\x1b[" not in text


def test_what_is_wrong_is_told_once_and_first(run, api):
    message = "pod chat-0-x cannot pull it; check the image"
    broken = gdep(
        "chat",
        phase="Stalled",
        conditions=[
            condition("Ready", "False", "ImagePullFailed", message),
            condition("Stalled", "True", "ImagePullFailed", message),
            condition("Planned", "True", "Planned", "fine"),
            condition("Routed", "False", "RouterStarting", "router gemma-router: 0 of 2 pods are ready"),
            condition("ScalingActive", "False", "FixedReplicas", "spec.replicas fixes 2"),
            condition("Degraded", "False", "Done", "nothing to do"),
        ],
    )
    api(broken)
    lines = run("status", "chat").stdout.splitlines()
    assert lines[1].rstrip() == "! ImagePullFailed (Ready, Stalled)"
    assert lines[2].strip() == message
    assert lines[3].rstrip() == "… RouterStarting (Routed)"
    assert "FixedReplicas" not in "\n".join(lines), "what somebody chose is not wrong"


def test_a_change_that_the_operator_has_not_seen(run, api):
    stale = gdep("chat")
    stale["metadata"]["generation"] = 7
    finding = view(stale).findings[0]
    assert "generation 7, seen 1" in finding.message
    assert finding.passing
    new = {"metadata": {"name": "new", "namespace": "cli", "generation": 1}, "spec": {}}
    api(new)
    assert "the operator has not looked at it yet" in run("status", "new").stdout
    assert "NotSeen" in run("status").stdout


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        ({"phase": "Pending"}, "WaitsForNode"),
        ({"on": "one"}, "Creating"),
        ({"on": "one", "terminating": True}, "Draining"),
        ({"on": "one", "phase": "Failed"}, "Failed"),
    ],
)
def test_the_phase_of_a_replica(changes, phase):
    made = pod("chat-0-x", deployment="chat", **changes)
    made["metadata"]["creationTimestamp"] = "2026-11-25T12:00:00Z"
    [replica] = view(gdep("chat"), pods=[made]).replicas
    assert replica.phase == phase


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ({"running": {}}, "Loading"),
        ({"waiting": {"reason": "ContainerCreating"}}, "Creating"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff"),
    ],
)
def test_the_phase_of_a_replica_that_loads(state, phase):
    made = pod("chat-0-x", deployment="chat", on="one")
    made["metadata"]["creationTimestamp"] = "2026-11-25T12:00:00Z"
    made["status"]["containerStatuses"] = [{"name": "engine", "state": state, "restartCount": 3}]
    [replica] = view(gdep("chat"), pods=[made]).replicas
    assert (replica.phase, replica.restarts) == (phase, 3)


def test_json_and_yaml_say_the_same(run, api):
    api(gdep("chat"), gdep("big"), pods=tuple(RECORDED["pods"]))
    body = json.loads(run("status", "chat", "-o", "json").stdout)
    assert yaml.safe_load(run("status", "chat", "-o", "yaml").stdout) == body
    assert set(body) == {
        *("namespace", "name", "phase", "plan", "replicas", "queue", "startup", "outdated", "costPerHour", "findings"),
        *("endpoint", "pools", "planReason", "warnings", "pods", "decisions", "rejected"),
    }
    assert body["pools"][0]["accelerator"] == "l4"
    assert body["pods"][0]["phase"] == "Ready"
    items = json.loads(run("status", "-A", "-o", "json").stdout)["items"]
    assert [item["name"] for item in items] == ["big", "chat"]
    assert items[0]["findings"][0]["conditions"] == ["Ready", "Stalled", "Planned"]


def test_nothing_there(run, api):
    api()
    result = run("status")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no GemmaDeployment in namespace cli" in result.stderr
    assert json.loads(run("status", "-o", "json").stdout) == {"items": []}


@pytest.mark.parametrize(
    ("arguments", "refused", "words"),
    [
        (("status", "chatt"), {}, "no GemmaDeployment 'chatt' in namespace cli (there is big, chat)"),
        (("status",), {"gemmadeployments": 403}, "you may not read gemmadeployments: not yours"),
        (("status",), {"gemmadeployments": 404}, "install the chart"),
        (("status", "chat", "-A"), {}, "not both"),
    ],
)
def test_errors_say_what_to_do(run, api, arguments, refused, words):
    api(gdep("chat"), gdep("big"), refused=refused)
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr


def test_without_the_right_to_list_pods_the_rest_is_shown(run, api):
    api(gdep("chat"), refused={"pods": 403})
    result = run("status", "chat")
    assert result.exit_code == 0
    assert "you may not list pods" in result.stderr
    assert "1/1 replicas ready" in result.stdout


def test_a_status_of_another_version_is_named():
    with pytest.raises(CliError, match=r"(?s)cli/chat: .*status\.phase"):
        view(gdep("chat", phase="Dreaming"))


def follow(run: Any, monkeypatch: pytest.MonkeyPatch, *steps: Any) -> Any:
    """Run `status --watch` and end it as Ctrl-C does once every step was taken between two looks."""
    left = list(steps)

    async def sleep(_: float) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop(0)()

    class Clock:
        """asyncio as the watch sees it."""

    Clock.sleep = staticmethod(sleep)  # type: ignore[attr-defined]
    monkeypatch.setattr(status, "asyncio", Clock)
    return run


def test_in_a_pipe_a_watch_prints_changes_alone(run, api, monkeypatch):
    served = api(gdep("chat"), gdep("big"))

    def change() -> None:
        served.objects[0] = gdep("chat", phase="Degraded")

    def away() -> None:
        served.refused["gemmadeployments"] = 503

    def back() -> None:
        served.refused.clear()
        served.objects.pop(0)

    follow(run, monkeypatch, lambda: None, change, away, lambda: None, back)
    result = run("status", "--watch")
    lines = [text.split(" ", 1)[1] for text in result.stdout.splitlines()]
    assert [text.split()[0:2] for text in lines] == [
        ["cli/big", "phase=Pending"],
        ["cli/chat", "phase=Ready"],
        ["cli/chat", "phase=Degraded"],
        ["cli/chat", "phase=Deleted"],
    ]
    assert result.stderr.count("trying again") == 1


def test_on_a_terminal_the_picture_is_refreshed_in_place(run, api, monkeypatch):
    served = api(gdep("chat"))
    follow(run, monkeypatch, lambda: served.objects.append(gdep("big")))
    stdout = type("Terminal", (), {"isatty": lambda self: True})()
    monkeypatch.setattr(status, "sys", type("Sys", (), {"stdout": stdout}))
    text = run("status", "--watch").stdout
    assert text.count("NAME") == 1, "a picture that is replaced, not lines that are added"
    assert {line.split()[0] for line in text.splitlines()} == {"NAME", "big", "chat"}


def test_a_watch_for_programs_prints_a_document_per_change(run, api, monkeypatch):
    served = api(gdep("chat"))
    follow(run, monkeypatch, lambda: served.objects.pop())
    documents = [json.loads(text) for text in run("status", "-w", "-o", "json").stdout.splitlines()]
    assert documents[0] == to_json(view(gdep("chat")), whole=False)
    assert documents[1]["phase"] == "Deleted"


def test_a_line_is_one_line():
    assert "\n" not in line(view(gdep("big")))


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")]
)
def test_ages(seconds, text):
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_errors_of_the_way_there_are_for_people(run, monkeypatch):
    async def connect(**_: Any) -> Any:
        await asyncio.sleep(0)
        raise Transient("GET /apis: ClientConnectorError: nobody there")

    monkeypatch.setattr(session, "connect", connect)
    result = run("status")
    assert result.exit_code == 1
    assert "nobody there" in result.stderr


def test_an_older_version_is_told(api, run):
    old = gdep("chat", outdated="engine vllm 0.31.0, now 0.32.0")
    api(old)
    assert (
        "an older version runs in cli/chat: kubectl gemma upgrade --all --dry-run" in run("status", "-n", "cli").stderr
    )
    assert json.loads(run("status", "chat", "-o", "json").stdout)["outdated"] == "engine vllm 0.31.0, now 0.32.0"
    [row] = [line for line in run("status", "chat").stdout.splitlines() if line.startswith("Outdated")]
    assert "engine vllm 0.31.0, now 0.32.0: kubectl gemma upgrade chat -n cli --dry-run" in row
    api(gdep("chat"))
    assert "older version" not in run("status", "-n", "cli").stderr
