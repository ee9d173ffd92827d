"""Ways into a router from outside of the cluster."""

from typing import Any

import pytest
from gemma_operator.render.exposure import external_url
from gemma_operator.render.types import Object
from pydantic import ValidationError

from tests.unit.render.builders import EXPOSED, config, exposing_objects, of_kind, router_objects

HOSTS = ["{router}.{namespace}.example.com"]


def ingress(**settings: Any) -> Object:
    return of_kind(exposing_objects(ingress={"hosts": HOSTS, **settings}), "Ingress")


def http_route(**settings: Any) -> Object:
    return of_kind(
        exposing_objects(httpRoute={"hosts": HOSTS, "parentRefs": [{"name": "public"}], **settings}), "HTTPRoute"
    )


def annotations(**settings: Any) -> dict[str, str]:
    found = ingress(**settings)["metadata"]["annotations"]
    return {key: value for key, value in found.items() if not key.startswith("gemma4stack.dev/")}


def test_nothing_unless_configured() -> None:
    assert not {"Ingress", "HTTPRoute"} & {obj["kind"] for obj in router_objects()}
    assert not [obj for obj in router_objects() if obj["metadata"]["name"].endswith(("-ingress", "-httproute"))]
    assert external_url(config=config(), namespace="team-a", router="gemma-router") is None


def test_names_of_router_and_namespace_stand_in_hosts_and_secret() -> None:
    spec = ingress(tlsSecret="{router}.{namespace}-tls")["spec"]
    assert [rule["host"] for rule in spec["rules"]] == ["gemma-router.team-a.example.com"]
    assert spec["tls"] == [{"hosts": ["gemma-router.team-a.example.com"], "secretName": "gemma-router.team-a-tls"}]
    assert http_route()["spec"]["hostnames"] == ["gemma-router.team-a.example.com"]


def test_only_the_paths_that_are_meant_are_open() -> None:
    def paths(spec: Object) -> list[str]:
        return [path["path"] for rule in spec["rules"] for path in rule["http"]["paths"]]

    assert paths(ingress()["spec"]) == ["/v1"]
    assert paths(ingress(paths=["/v1", "/health"])["spec"]) == ["/v1", "/health"]
    [rule] = http_route(paths=["/v1", "/health"])["spec"]["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == ["/v1", "/health"]


def test_both_lead_to_the_service_of_the_router() -> None:
    service = of_kind(router_objects(), "Service")
    name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    [rule] = ingress()["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"] == {"service": {"name": name, "port": {"number": port}}}
    [backend] = http_route()["spec"]["rules"][0]["backendRefs"]
    assert (backend["name"], backend["port"]) == (name, port)


def test_tls_is_on_unless_it_is_turned_off() -> None:
    assert ingress()["spec"]["tls"] == [{"hosts": ["gemma-router.team-a.example.com"]}]
    assert "tls" not in ingress(tls=False)["spec"]


@pytest.mark.parametrize(
    ("controller", "key", "value"),
    [
        ("nginx", "nginx.ingress.kubernetes.io/proxy-read-timeout", "900"),
        ("nginx", "nginx.ingress.kubernetes.io/proxy-buffering", "off"),
        ("haproxy", "haproxy.org/timeout-server", "900s"),
        ("contour", "projectcontour.io/response-timeout", "900s"),
        ("alb", "alb.ingress.kubernetes.io/load-balancer-attributes", "idle_timeout.timeout_seconds=900"),
    ],
)
def test_streams_may_be_long_and_are_not_buffered(controller: str, key: str, value: str) -> None:
    assert annotations(controller=controller, timeoutSeconds=900)[key] == value
    mine = {key: "mine"}
    assert annotations(controller=controller, annotations=mine)[key] == "mine"


def test_no_annotation_is_guessed() -> None:
    assert annotations() == {}
    assert annotations(controller="haproxy", timeoutSeconds=None) == {}
    assert not [key for key in annotations(controller="nginx", timeoutSeconds=None) if "timeout" in key]


def test_a_load_balancer_is_not_asked_for_more_than_it_takes() -> None:
    [value] = annotations(controller="alb", timeoutSeconds=86400).values()
    assert value == "idle_timeout.timeout_seconds=4000"


def test_a_route_has_its_timeout_where_one_is_wanted() -> None:
    assert http_route()["spec"]["rules"][0]["timeouts"] == {"request": "3600s"}
    assert "timeouts" not in http_route(timeoutSeconds=None)["spec"]["rules"][0]


def test_each_is_owned_by_its_anchor_and_the_anchor_by_the_users_of_the_router() -> None:
    objects = exposing_objects()
    users = of_kind(router_objects(), "Service")["metadata"]["ownerReferences"]
    for kind, anchor in (("Ingress", "gemma-router-ingress"), ("HTTPRoute", "gemma-router-httproute")):
        [owner] = of_kind(objects, kind)["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("ConfigMap", anchor, f"uid-{anchor}")
        assert of_kind(objects, "ConfigMap", anchor)["metadata"]["ownerReferences"] == users


@pytest.mark.parametrize(
    ("router", "url"),
    [
        (EXPOSED, "https://gemma-router.team-a.example.com/v1"),
        ({"ingress": {"hosts": HOSTS, "tls": False}}, "http://gemma-router.team-a.example.com/v1"),
        ({"httpRoute": EXPOSED["httpRoute"]}, "https://gemma-router-team-a.example.com/v1"),
    ],
)
def test_the_url_of_clients(router: dict[str, Any], url: str) -> None:
    assert external_url(config=config(router=router), namespace="team-a", router="gemma-router") == url


@pytest.mark.parametrize(
    ("ingress", "says"),
    [
        ({"hosts": ["llm.example.com"]}, "put {namespace} into it"),
        ({"hosts": ["{team}.{namespace}.example.com"]}, "hosts.0"),
        ({"hosts": ["https://{namespace}.example.com"]}, "hosts.0"),
        ({"hosts": []}, "hosts"),
        ({"hosts": HOSTS, "paths": ["v1"]}, "paths.0"),
        ({"hosts": HOSTS, "timeoutSeconds": 0}, "timeoutSeconds"),
    ],
)
def test_what_cannot_be_meant_is_refused(ingress: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        config(router={"ingress": ingress})
    assert says in str(refused.value)


def test_a_host_without_the_namespace_is_for_one_namespace() -> None:
    router = {"ingress": {"hosts": ["llm.example.com"]}}
    made = config(router=router, namespaces=["team-a"])
    assert external_url(config=made, namespace="team-a", router="gemma-router") == "https://llm.example.com/v1"
    with pytest.raises(ValidationError, match="mix their requests"):
        config(router=router, namespaces=["team-a", "team-b"])
