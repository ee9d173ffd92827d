"""One GemmaDeployment from creation to deletion: objects, healing, conflicts. Engines are kwok's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.observing import owned_names, ready
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma


@pytest.fixture(scope="module")
def nodes(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(fleet.l4("l4-a", count=8), fleet.plain("cpu-a"))
    yield
    kubectl("delete", "nodes", "--all")


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, nodes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path_factory.mktemp("operator")) as running:
        yield running


def test_the_routes_follow_a_second_deployment_and_a_new_plan(
    operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    def routes() -> dict[str, int]:
        text = kubectl.get("configmap", "gemma-router-routes", namespace=namespace)["data"]["routes.json"]
        return {route["name"]: route["contextTokens"] for route in json.loads(text)["deployments"]}

    for name in ("first", "second", "third"):
        kubectl.apply(gemma(name, {"model": "e2b"}), namespace=namespace)
        ready(kubectl, name, namespace)
    expected = dict.fromkeys(("first", "second", "third"), 8192)
    eventually(routes, until=lambda seen: seen == expected, seconds=10, what="a route for each")
    kubectl("patch", "gdep", "second", "-n", namespace, "--type=merge", "-p", '{"spec":{"context":16384}}')
    expected["second"] = 16384
    eventually(routes, until=lambda seen: seen == expected, seconds=30, what="the new context in the routes")


def test_what_is_made_and_what_is_told(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat", {"model": "e2b", "router": {"aliases": ["gpt-4o-mini"]}}), namespace=namespace)
    obj = ready(kubectl, "chat", namespace)
    assert owned_names(kubectl, namespace) == {
        "Deployment/chat-0",
        "Service/chat",
        "ConfigMap/chat-probe",
        "PodDisruptionBudget/chat",
        "NetworkPolicy/chat",
        "Deployment/gemma-router",
        "Service/gemma-router",
        "ConfigMap/gemma-router-code",
        "ConfigMap/gemma-router-config",
        "ConfigMap/gemma-router-routes",
        "PodDisruptionBudget/gemma-router",
        "NetworkPolicy/gemma-router",
        "ServiceAccount/gemma-router",
        "RoleBinding/gemma-router",
        "Secret/gemma-router-auth",
        "Secret/gemma-router-keys",
    }
    status = obj["status"]
    assert status["observedGeneration"] == obj["metadata"]["generation"]
    assert status["endpoint"] == {
        "url": f"http://gemma-router.{namespace}.svc/v1",
        "models": ["chat", "gpt-4o-mini"],
    }
    expected = {
        "Ready": "True",
        "Reconciling": "False",
        "Stalled": "False",
        "Planned": "True",
        "Routed": "True",
        # No engine answers on the address of a faked pod, which takes a while to find out.
        "ScalingActive": "False",
        "Degraded": "False",
    }
    eventually(
        lambda: {
            kind: found["status"]
            for kind, found in conditions(kubectl.get("gdep", "chat", namespace=namespace)).items()
        },
        until=lambda found: found == expected,
        seconds=30,
        what="every condition is told",
    )
    assert kubectl("wait", "--for=condition=Ready", "gdep/chat", "-n", namespace, "--timeout=5s")
    events = kubectl.find("events", namespace=namespace)
    told = {event["reason"] for event in events if event["involvedObject"]["kind"] == "GemmaDeployment"}
    assert {"Planned", "Serving", "Routed"} <= told
    line = kubectl("get", "gdep", "chat", "-n", namespace, "-o", "wide").splitlines()[1].split()
    assert line[0] == "chat"
    assert {"e2b", "1×l4", "1/1", "Ready", "Serving"} <= set(line)


def test_deleting_it_leaves_nothing_and_the_router_goes_with_its_last_user(
    operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    kubectl.apply(gemma("one", {"model": "e2b"}), gemma("two", {"model": "e2b"}), namespace=namespace)
    ready(kubectl, "one", namespace)
    ready(kubectl, "two", namespace)
    routers = kubectl.find("deployments", namespace=namespace, selector="app.kubernetes.io/name=gemma-router")
    assert len(routers) == 1, "two GemmaDeployments share one router"
    keys = kubectl.get("secret", "gemma-router-auth", namespace=namespace)["data"]

    kubectl("delete", "gdep", "one", "-n", namespace)
    eventually(
        lambda: owned_names(kubectl, namespace),
        until=lambda names: not any("/one" in name for name in names),
        seconds=60,
        what="everything of the first is gone",
    )
    routes = eventually(
        lambda: json.loads(kubectl.get("configmap", "gemma-router-routes", namespace=namespace)["data"]["routes.json"]),
        until=lambda found: [route["name"] for route in found["deployments"]] == ["two"],
        seconds=30,
        what="the router forgets the first",
    )
    assert routes
    assert kubectl.get("secret", "gemma-router-auth", namespace=namespace)["data"] == keys
    kubectl("delete", "gdep", "two", "-n", namespace)
    eventually(
        lambda: owned_names(kubectl, namespace),
        until=lambda names: not names,
        seconds=60,
        what="nothing is left, the router and its Secrets included",
    )


def test_a_router_goes_when_its_last_user_names_another(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    def routers() -> set[str]:
        return {name for name in owned_names(kubectl, namespace) if name.partition("/")[2].startswith(("old", "new"))}

    for name in ("one", "two"):
        kubectl.apply(gemma(name, {"model": "e2b", "router": {"name": "old"}}), namespace=namespace)
        ready(kubectl, name, namespace)

    def engine_services() -> set[str]:
        return {kubectl.get("service", name, namespace=namespace)["metadata"]["uid"] for name in ("one", "two")}

    engines = engine_services()
    change = '{"spec":{"router":{"name":"new"}}}'
    kubectl("patch", "gdep", "one", "-n", namespace, "--type=merge", "-p", change)
    eventually(routers, until=lambda found: "Deployment/new" in found, seconds=30, what="the other router")
    ready(kubectl, "one", namespace)
    assert {"Deployment/old", "Service/old", "Secret/old-keys"} <= routers(), "it still has a user"
    kubectl("patch", "gdep", "two", "-n", namespace, "--type=merge", "-p", change)
    eventually(
        routers,
        until=lambda found: not any(name.partition("/")[2].startswith("old") for name in found),
        seconds=90,
        what="the old router is gone with its Secrets",
    )
    assert {"Deployment/new", "Service/new", "Secret/new-keys"} <= routers()
    ready(kubectl, "two", namespace)
    assert engine_services() == engines, "what belongs to the engines stays, though it carries the router's label"


def test_owned_objects_that_are_deleted_or_edited_are_healed(
    operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    ready(kubectl, "chat", namespace)
    before = owned_names(kubectl, namespace)
    secret = kubectl.get("secret", "gemma-router-auth", namespace=namespace)["data"]
    for name in sorted(
        before - {"Secret/gemma-router-auth", "Secret/gemma-router-keys", "ServiceAccount/gemma-router"}
    ):
        kubectl("delete", name.lower(), "-n", namespace, "--wait=false")
    eventually(
        lambda: owned_names(kubectl, namespace), until=lambda now: now == before, seconds=60, what="all are made anew"
    )
    ready(kubectl, "chat", namespace)
    assert kubectl.get("secret", "gemma-router-auth", namespace=namespace)["data"] == secret

    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/args/0", "value": "--model=other"}]
    kubectl("patch", "deployment", "chat-0", "-n", namespace, "--type=json", "-p", json.dumps(patch))
    eventually(
        lambda: kubectl.get("deployment", "chat-0", namespace=namespace)["spec"]["template"]["spec"]["containers"][0],
        until=lambda container: "--model=other" not in container["args"],
        seconds=30,
        what="the edited argument is put back",
    )
    kubectl("patch", "service", "chat", "-n", namespace, "--type=merge", "-p", '{"spec":{"selector":{"app":"x"}}}')
    eventually(
        lambda: kubectl.get("service", "chat", namespace=namespace)["spec"]["selector"],
        until=lambda selector: "gemma4stack.dev/deployment" in selector,
        seconds=30,
        what="the edited selector is put back",
    )


def test_a_restart_by_a_person_is_no_drift(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    ready(kubectl, "chat", namespace)
    kubectl("rollout", "restart", "deployment/chat-0", "-n", namespace)
    kubectl("rollout", "status", "deployment/chat-0", "-n", namespace, "--timeout=60s", timeout=70)
    template = kubectl.get("deployment", "chat-0", namespace=namespace)["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]


def test_kubectl_scale_is_obeyed_and_undone(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    ready(kubectl, "chat", namespace)
    kubectl("scale", "gdep/chat", "--replicas=3", "-n", namespace)
    obj = ready(kubectl, "chat", namespace)
    assert obj["status"]["readyReplicas"] == 3
    assert conditions(obj)["ScalingActive"]["reason"] == "FixedReplicas"
    shown = json.loads(kubectl("get", "deploy", "chat-0", "-n", namespace, "-o", "json", "--show-managed-fields"))
    owners = {
        entry["manager"]
        for entry in shown["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }
    assert owners == {"gemma-scaler"}
    kubectl("patch", "gdep", "chat", "-n", namespace, "--type=json", "-p", '[{"op":"remove","path":"/spec/replicas"}]')
    obj = eventually(
        lambda: kubectl.get("gdep", "chat", namespace=namespace),
        until=lambda found: conditions(found)["ScalingActive"]["reason"] == "NoMetrics",
        seconds=60,
        what="the operator decides again",
    )
    assert obj["status"]["ready"] == "3/3", "nothing shrinks while the faked engines say nothing"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Service", {"apiVersion": "v1", "spec": {"ports": [{"port": 80}]}}),
        ("ConfigMap", {"apiVersion": "v1", "data": {"mine": "yes"}}),
    ],
)
def test_an_object_that_is_not_ours_is_left_alone_and_named(
    kind: str, body: dict[str, Any], operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    name = "chat" if kind == "Service" else "chat-probe"
    foreign: Object = {**body, "kind": kind, "metadata": {"name": name}}
    kubectl.apply(foreign, namespace=namespace)
    before = kubectl.get(kind.lower(), name, namespace=namespace)["metadata"]["resourceVersion"]
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    obj = eventually(
        lambda: kubectl.get("gdep", "chat", namespace=namespace),
        until=lambda now: conditions(now).get("Ready", {}).get("reason") == "NameConflict",
        seconds=30,
        what="the conflict is told",
    )
    assert f"{kind} {name}" in conditions(obj)["Ready"]["message"]
    assert obj["status"]["phase"] == "Stalled"
    assert kubectl.get(kind.lower(), name, namespace=namespace)["metadata"]["resourceVersion"] == before
    assert not kubectl.find("deployments", namespace=namespace, selector="gemma4stack.dev/pool")
    kubectl("delete", kind.lower(), name, "-n", namespace)
    ready(kubectl, "chat", namespace, seconds=90)


def test_the_older_deployment_keeps_an_alias(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("older", {"model": "e2b", "router": {"aliases": ["gpt"]}}), namespace=namespace)
    first = ready(kubectl, "older", namespace)

    def created_later() -> bool:
        kubectl("delete", "gdep", "younger", "-n", namespace, "--ignore-not-found")
        kubectl.apply(gemma("younger", {"model": "e2b", "router": {"aliases": ["gpt", "own"]}}), namespace=namespace)
        younger = kubectl.get("gdep", "younger", namespace=namespace)["metadata"]
        return bool(younger["creationTimestamp"] > first["metadata"]["creationTimestamp"])

    eventually(created_later, seconds=30, what="the second is younger by the API server's clock of seconds")
    obj = eventually(
        lambda: kubectl.get("gdep", "younger", namespace=namespace),
        until=lambda now: conditions(now).get("Routed", {}).get("reason") == "AliasConflict",
        seconds=30,
        what="the younger is told that its alias is taken",
    )
    assert "'gpt'" in conditions(obj)["Routed"]["message"]
    assert "older" in conditions(obj)["Routed"]["message"]
    kubectl("delete", "gdep", "older", "-n", namespace)
    obj = eventually(
        lambda: kubectl.get("gdep", "younger", namespace=namespace),
        until=lambda now: conditions(now)["Routed"]["status"] == "True",
        seconds=90,
        what="the alias is free once its owner is gone",
    )
    assert "gpt" in obj["status"]["endpoint"]["models"]


def test_paused_stops_everything_but_status(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    ready(kubectl, "chat", namespace)
    kubectl("annotate", "gdep", "chat", "gemma4stack.dev/paused=true", "-n", namespace)
    eventually(
        lambda: kubectl.get("gdep", "chat", namespace=namespace)["status"],
        until=lambda status: status["phase"] == "Paused",
        seconds=30,
        what="the pause is shown",
    )
    kubectl("delete", "service", "chat", "-n", namespace)
    kubectl("scale", "gdep/chat", "--replicas=2", "-n", namespace)
    eventually(
        lambda: kubectl.get("gdep", "chat", namespace=namespace),
        until=lambda now: now["status"]["observedGeneration"] == now["metadata"]["generation"],
        seconds=30,
        what="status goes on",
    )
    assert "Service/chat" not in owned_names(kubectl, namespace)
    assert kubectl.get("deployment", "chat-0", namespace=namespace)["spec"]["replicas"] == 1
    kubectl("annotate", "gdep", "chat", "gemma4stack.dev/paused-", "-n", namespace)
    assert ready(kubectl, "chat", namespace)["status"]["readyReplicas"] == 2
    assert "Service/chat" in owned_names(kubectl, namespace)


def test_logs_are_json_and_probes_and_metrics_answer(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    ready(kubectl, "chat", namespace)
    assert operator.get("/healthz") == (200, "ok\n")
    assert operator.get("/readyz") == (200, "ok\n")
    for metric in (
        "gemma_operator_workqueue_depth",
        "gemma_operator_reconcile_total",
        "gemma_operator_reconcile_duration_seconds_count",
        "gemma_operator_apiserver_requests_total",
        "gemma_operator_plans_total",
        "gemma_operator_event_loop_lag_seconds",
    ):
        assert metric in operator.get("/metrics")[1]
    about = [line["object"] for line in operator.log_lines() if "object" in line]
    assert {"kind": "GemmaDeployment", "name": "chat", "namespace": namespace} in about
