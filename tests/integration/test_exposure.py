"""Routers that are exposed: Ingress and HTTPRoute follow the configuration."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.audit import AuditLog
from tests.integration.observing import OPERATOR_AGENT, ready, settled
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, Object, eventually, gemma

HOSTS = ["{router}.{namespace}.example.com"]
INGRESS: Object = {
    "hosts": HOSTS,
    "className": "nginx",
    "controller": "nginx",
    "tlsSecret": "{router}-tls",
    "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
}
HTTP_ROUTE: Object = {
    "hosts": HOSTS,
    "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443}],
}
EXPOSING = "ingresses,httproutes"

Start = Callable[..., Operator]


@pytest.fixture(scope="module", autouse=True)
def nodes(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(fleet.l4("l4-a", count=8), fleet.plain("cpu-a"))
    yield
    kubectl("delete", "nodes", "--all")


@pytest.fixture
def configured(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Start:
    """Makes an operator with settings of the router."""

    def made(**router: Any) -> Operator:
        config = {"namespaces": [namespace], "resyncSeconds": 10, "router": router}
        return Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=config)

    return made


def exposing(kubectl: Kubectl, namespace: str) -> set[str]:
    return {obj["kind"] for obj in kubectl.find(EXPOSING, namespace=namespace)}


def test_they_are_made_healed_and_written_no_more_than_that(
    control_plane: ControlPlane, kubectl: Kubectl, gateway_api: None, namespace: str, configured: Start
) -> None:
    with configured(ingress=INGRESS, httpRoute=HTTP_ROUTE):
        kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
        status = ready(kubectl, "chat", namespace)["status"]
        host = f"gemma-router.{namespace}.example.com"
        assert status["endpoint"]["externalUrl"] == f"https://{host}/v1"
        eventually(
            lambda: exposing(kubectl, namespace),
            until=lambda found: found == {"Ingress", "HTTPRoute"},
            seconds=30,
            what="both are there",
        )
        ingress = kubectl.get("ingress", "gemma-router", namespace=namespace)
        assert ingress["spec"]["tls"] == [{"hosts": [host], "secretName": "gemma-router-tls"}]
        assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
        route = kubectl.get("httproute", "gemma-router", namespace=namespace)
        assert route["spec"]["hostnames"] == [host]
        assert route["spec"]["rules"][0]["timeouts"] == {"request": "3600s"}

        # What the API server fills in is no drift: else each look would write again.
        settled(control_plane, beats=15)
        log = AuditLog(control_plane.audit_log, agent=OPERATOR_AGENT)
        change = json.dumps([{"op": "replace", "path": "/spec/rules/0/host", "value": "elsewhere.example.com"}])
        kubectl("patch", "ingress", "gemma-router", "-n", namespace, "--type=json", "-p", change)
        kubectl("delete", "httproute", "gemma-router", "-n", namespace)
        eventually(
            lambda: (
                kubectl.get("ingress", "gemma-router", namespace=namespace)["spec"]["rules"][0]["host"],
                exposing(kubectl, namespace),
            ),
            until=lambda found: found == (host, {"Ingress", "HTTPRoute"}),
            seconds=30,
            what="both are as they were",
        )
        settled(control_plane, beats=15)
        assert log.writes() == {"patch ingresses/gemma-router": 1, "patch httproutes/gemma-router": 1}


def test_what_is_configured_no_more_goes_and_needs_no_right_for_it(
    kubectl: Kubectl, gateway_api: None, namespace: str, configured: Start
) -> None:
    with configured(ingress=INGRESS, httpRoute=HTTP_ROUTE):
        kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
        eventually(
            lambda: exposing(kubectl, namespace),
            until=lambda found: found == {"Ingress", "HTTPRoute"},
            seconds=60,
            what="both are there",
        )
    with configured(httpRoute=HTTP_ROUTE):
        eventually(
            lambda: exposing(kubectl, namespace),
            until=lambda found: found == {"HTTPRoute"},
            seconds=60,
            what="the Ingress is gone",
        )
    with configured():
        eventually(
            lambda: exposing(kubectl, namespace),
            until=lambda found: not found,
            seconds=60,
            what="the HTTPRoute is gone",
        )
        assert "externalUrl" not in ready(kubectl, "chat", namespace)["status"]["endpoint"]
    with configured(ingress=INGRESS):
        eventually(lambda: exposing(kubectl, namespace), seconds=60, what="the Ingress is there again")
        kubectl("delete", "gdep", "chat", "-n", namespace)
        eventually(
            lambda: exposing(kubectl, namespace),
            until=lambda found: not found,
            seconds=60,
            what="it goes with the last",
        )


def test_an_ingress_of_somebody_else_is_left_alone_and_named(
    kubectl: Kubectl, namespace: str, configured: Start
) -> None:
    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    theirs = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "gemma-router"},
        "spec": {"defaultBackend": backend},
    }
    kubectl.apply(theirs, namespace=namespace)
    with configured(ingress=INGRESS):
        kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)

        def routed() -> Object:
            status = kubectl.get("gdep", "chat", namespace=namespace)["status"]
            return next(each for each in status["conditions"] if each["type"] == "Routed")

        told = eventually(
            routed, until=lambda condition: condition["reason"] == "NameConflict", seconds=60, what="the conflict"
        )
        assert "Ingress gemma-router" in told["message"]
        assert kubectl.get("ingress", "gemma-router", namespace=namespace)["spec"] == theirs["spec"]


def test_without_the_definition_of_routes_the_operator_says_so_and_ends(
    kubectl: Kubectl, namespace: str, configured: Start
) -> None:
    kubectl("delete", "crd", "httproutes.gateway.networking.k8s.io", "--ignore-not-found")
    with pytest.raises(AssertionError, match="ended with code 2"):
        configured(httpRoute=HTTP_ROUTE).start()
