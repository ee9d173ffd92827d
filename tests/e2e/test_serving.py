"""From `kubectl apply` to an answered chat: the example of the README on a node with four L4."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.chat import ask, router_client, stream, until_answered
from tests.e2e.cli import gemma_cli
from tests.e2e.objects import engine_pods, leader, left_over, until_ready
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma
from tests.unit.monitoring.exported import TARGET
from tests.unit.monitoring.promql import reads
from tests.unit.monitoring.queries import QUERIES, plain

EXAMPLE = Path(__file__).parents[2] / "examples" / "minimal.yaml"


@pytest.fixture(scope="module")
def chat(kubectl: Kubectl, shared_namespace: str) -> Object:
    """The minimal example, Ready."""
    kubectl("apply", "-n", shared_namespace, "-f", str(EXAMPLE))
    kubectl("wait", "-n", shared_namespace, "--for=condition=Ready", "gdep/chat", "--timeout=240s", timeout=260)
    return kubectl.get("gdep", "chat", namespace=shared_namespace)


@pytest.fixture(scope="module")
def client(kubectl: Kubectl, shared_namespace: str, chat: Object) -> Iterator[OpenAI]:
    """A client of the router with its key."""
    with router_client(kubectl, shared_namespace) as made:
        yield made


def test_the_example_has_six_lines():
    assert len(EXAMPLE.read_text().splitlines()) == 6


def test_a_chat_is_answered(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="chat", messages=[{"role": "user", "content": "Hello"}], max_tokens=12
    )
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 12


def test_a_streaming_chat_is_answered(client: OpenAI) -> None:
    seen = stream(client, "chat", tokens=40)
    assert not seen.error
    assert seen.text
    assert (seen.finish, seen.tokens) == ("length", 40)


def test_dashboards_and_alerts_read_what_the_pods_export(
    kubectl: Kubectl, shared_namespace: str, client: OpenAI
) -> None:
    assert until_answered(client, "chat")
    [engine] = engine_pods(kubectl, shared_namespace, "chat")
    router = kubectl.find("pods", namespace=shared_namespace, selector="app.kubernetes.io/name=gemma-router")[0]
    exported = {
        name: labels
        for pod, port in ((leader(kubectl), "http"), (router, "state"), (engine, "http"))
        for name, labels in _exported(kubectl, pod, port=port).items()
    }
    for where, query in QUERIES.items():
        for metric, labels in reads(plain(query)).metrics:
            family = metric if metric in exported else re.sub(r"_(total|bucket|sum|count)$", "", metric)
            assert family in exported, f"{where}: nothing exports {metric}"
            seen = exported.get(metric)
            # A counter that has counted nothing yet has a name and no series.
            assert not seen or labels - {"le"} <= seen | TARGET | {"deployment"}, f"{where}: {metric} has {seen}"


def _exported(kubectl: Kubectl, pod: Object, *, port: str) -> dict[str, set[str]]:
    """Names of the families and series of a pod's metrics with their labels, as Prometheus would read them."""
    [number] = [
        each["containerPort"]
        for container in pod["spec"]["containers"]
        for each in container.get("ports", ())
        if each["name"] == port
    ]
    place = pod["metadata"]
    text = kubectl(
        "get", "--raw", f"/api/v1/namespaces/{place['namespace']}/pods/{place['name']}:{number}/proxy/metrics"
    )
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        found.setdefault(family.name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    assert len(found) > 10, text
    return found


def test_the_chat_command_is_answered(kubectl: Kubectl, shared_namespace: str, client: OpenAI) -> None:
    assert until_answered(client, "chat")
    answer = gemma_cli(kubectl, "chat", "chat", "Hello", "--max-tokens", "12", "-n", shared_namespace)
    assert answer.strip()
    refused = gemma_cli(kubectl, "chat", "chat", "Hello", "--key", "sk-wrong", "-n", shared_namespace, code=1)
    assert not refused


def test_models_are_the_deployment_and_its_aliases(client: OpenAI, kubectl: Kubectl, shared_namespace: str) -> None:
    assert [model.id for model in client.models.list()] == ["chat"]
    _alias(kubectl, shared_namespace, ["gpt-4o-mini"])
    eventually(
        lambda: sorted(model.id for model in client.models.list()),
        until=lambda names: names == ["chat", "gpt-4o-mini"],
        seconds=120,
        what="the alias in /v1/models",
    )
    assert ask(client, "gpt-4o-mini")
    _alias(kubectl, shared_namespace, [])


@pytest.mark.parametrize("key", ["wrong", "sk-1234"])
def test_a_wrong_key_is_refused(kubectl: Kubectl, shared_namespace: str, chat: Object, key: str) -> None:
    with router_client(kubectl, shared_namespace, key=key) as stranger, pytest.raises(openai.AuthenticationError):
        ask(stranger, "chat")


def test_status_says_what_was_chosen_and_why(chat: Object) -> None:
    status = chat["status"]
    assert status["observedGeneration"] == chat["metadata"]["generation"]
    pool = status["plan"]["pools"][0]
    assert (pool["accelerator"], pool["supply"]) == ("l4", "Free")
    assert pool["maxModelLen"] >= 8192
    assert pool["sequencesTypical"] >= 8
    assert 0 < pool["memory"]["weights"] + pool["memory"]["kvCache"] <= pool["memory"]["usable"]
    assert pool["costPerHour"] > 0
    assert status["plan"]["reason"]
    assert 0 < len(status["rejected"]) <= 8
    assert all(rejection["reason"] for rejection in status["rejected"])
    assert (status["replicas"], status["readyReplicas"], status["ready"]) == (1, 1, "1/1")
    assert status["endpoint"]["models"] == ["chat"]
    assert status["endpoint"]["url"] == f"http://gemma-router.{chat['metadata']['namespace']}.svc/v1"
    held = {kind: (c["status"], c["reason"]) for kind, c in conditions(chat).items()}
    assert held["Ready"] == ("True", "Serving")
    assert held["Planned"] == ("True", "Planned")
    assert held["Routed"] == ("True", "Routed")
    assert held["Reconciling"][0] == held["Stalled"][0] == held["Degraded"][0] == "False"


def test_columns_tell_the_state_at_a_glance(kubectl: Kubectl, shared_namespace: str, chat: Object) -> None:
    header, row = eventually(
        lambda: kubectl("get", "gdep", "-n", shared_namespace).splitlines(),
        until=lambda lines: " running" in lines[1],
        seconds=60,
        what="the queue is shown",
    )
    assert header.split() == ["NAME", "MODEL", "ACCELERATOR", "READY", "QUEUE", "PHASE", "AGE"]
    status = chat["status"]
    cells = row.split()
    assert cells[:5] == ["chat", *status["model"].split(), status["accelerator"], "1/1"]
    assert (cells[6], cells[-2]) == ("running", "Ready")
    wide = kubectl("get", "gdep", "-n", shared_namespace, "-o", "wide").splitlines()[1].split()
    assert wide[-2:] == [status["costPerHour"], "Serving"]


def test_the_status_command_shows_it_on_one_screen(kubectl: Kubectl, shared_namespace: str, chat: Object) -> None:
    [pod] = engine_pods(kubectl, shared_namespace, "chat")
    screen = gemma_cli(kubectl, "status", "chat", "-n", shared_namespace)
    assert screen.startswith(f"{shared_namespace}/chat  Ready  {chat['status']['model']} on ")
    [replica] = [line.split() for line in screen.splitlines() if line.startswith(pod["metadata"]["name"])]
    assert replica[1:4] == ["0", "Ready", pod["spec"]["nodeName"]]
    assert chat["status"]["endpoint"]["url"] in screen


def test_the_doctor_finds_nothing_that_fails(kubectl: Kubectl, shared_namespace: str, chat: Object) -> None:
    checks = json.loads(gemma_cli(kubectl, "doctor", "-n", shared_namespace, "-o", "json"))["checks"]
    found = {(each["check"], each["result"]) for each in checks}
    assert {(name, "ok") for name in ("kubernetes", "crd", "operator", "metrics", "gpus")} <= found


def test_events_tell_the_story(kubectl: Kubectl, shared_namespace: str, chat: Object) -> None:
    def reasons() -> set[str]:
        events = kubectl.find("events", namespace=shared_namespace)
        return {e["reason"] for e in events if e["involvedObject"].get("uid") == chat["metadata"]["uid"]}

    eventually(reasons, until={"Planned", "Routed", "Serving"}.issubset, seconds=30, what="events")
    assert "Planned" in kubectl("describe", "gdep", "chat", "-n", shared_namespace)


def test_the_selector_of_status_finds_the_engine_pods(kubectl: Kubectl, shared_namespace: str, chat: Object) -> None:
    found = kubectl.find("pods", namespace=shared_namespace, selector=chat["status"]["selector"])
    assert [pod["metadata"]["name"] for pod in found] == [
        pod["metadata"]["name"] for pod in engine_pods(kubectl, shared_namespace, "chat")
    ]


def test_the_engine_got_the_gpus_of_its_plan(kubectl: Kubectl, shared_namespace: str, chat: Object) -> None:
    pool = chat["status"]["plan"]["pools"][0]
    [pod] = engine_pods(kubectl, shared_namespace, "chat")
    [engine] = [container for container in pod["spec"]["containers"] if container["name"] == "engine"]
    assert engine["resources"]["limits"]["nvidia.com/gpu"] == str(pool["gpusPerReplica"])
    secrets = [env for env in engine["env"] if env["name"] == "VLLM_API_KEY"]
    assert secrets[0]["valueFrom"]["secretKeyRef"]["key"] == "engine-key"


def test_a_second_deployment_shares_the_router_and_leaves_without_a_trace(
    kubectl: Kubectl, shared_namespace: str, client: OpenAI
) -> None:
    kubectl.apply(gemma("second", {"model": "e2b"}), namespace=shared_namespace)
    until_ready(kubectl, shared_namespace, "second")
    assert until_answered(client, "second")
    assert sorted(model.id for model in client.models.list()) == ["chat", "second"]
    routers = kubectl.find("deployments", namespace=shared_namespace, selector="app.kubernetes.io/name=gemma-router")
    assert len(routers) == 1
    kubectl("delete", "gdep", "second", "-n", shared_namespace, "--wait=false")
    eventually(
        lambda: [item for item in left_over(kubectl, shared_namespace) if "second" in item],
        until=lambda items: not items,
        seconds=120,
        what="everything of the second deployment is gone",
    )
    eventually(
        lambda: [model.id for model in client.models.list()],
        until=lambda names: names == ["chat"],
        seconds=30,
        what="the second model leaves /v1/models",
    )
    assert ask(client, "chat")


def test_deleting_the_last_one_leaves_nothing(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("only", {"model": "e2b"}), namespace=namespace)
    until_ready(kubectl, namespace, "only")
    assert left_over(kubectl, namespace)
    kubectl("delete", "gdep", "only", "-n", namespace, "--wait=false")
    eventually(
        lambda: left_over(kubectl, namespace), until=lambda items: not items, seconds=180, what="nothing is left"
    )


def _alias(kubectl: Kubectl, namespace: str, aliases: list[str]) -> None:
    patch = json.dumps({"spec": {"router": {"aliases": aliases}}})
    kubectl("patch", "gdep", "chat", "-n", namespace, "--type=merge", "-p", patch)
