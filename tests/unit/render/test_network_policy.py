"""Who reaches engines and routers, by evaluation of the rendered policies."""

import pytest

from tests.unit.render import builders
from tests.unit.render.network import Pod, allowed

ENGINE = Pod(
    namespace="team-a",
    labels={
        "app.kubernetes.io/name": "gemma-engine",
        "gemma4stack.dev/deployment": "chat",
        "gemma4stack.dev/pool": "0",
    },
)
ROUTER = Pod(
    namespace="team-a",
    labels={"app.kubernetes.io/name": "gemma-router", "gemma4stack.dev/router": "gemma-router"},
)
OTHER_ROUTER = Pod(
    namespace="team-a", labels={"app.kubernetes.io/name": "gemma-router", "gemma4stack.dev/router": "second"}
)
ROUTER_ELSEWHERE = Pod(namespace="team-b", labels=ROUTER.labels)
OPERATOR = Pod(
    namespace="gemma-system",
    labels={"app.kubernetes.io/name": "gemma-operator", "app.kubernetes.io/part-of": "gemma4-stack"},
)
NEIGHBOUR = Pod(namespace="team-a", labels={"app": "web"})
IN_OPERATOR_NAMESPACE = Pod(namespace="gemma-system", labels={"app": "web"})
PROMETHEUS = Pod(namespace="monitoring", labels={"app": "prometheus"})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (ROUTER, True),
        (OPERATOR, True),
        (OTHER_ROUTER, False),
        (ROUTER_ELSEWHERE, False),
        (NEIGHBOUR, False),
        (IN_OPERATOR_NAMESPACE, False),
        (PROMETHEUS, False),
    ],
)
def test_engines_answer_their_router_and_the_operator_only(source: Pod, expected: bool) -> None:
    policy = builders.of_kind(builders.engine_objects(), "NetworkPolicy")
    assert allowed([policy], source=source, target=ENGINE, port=8000) is expected


def test_engine_policy_opens_the_engine_port_only() -> None:
    policy = builders.of_kind(builders.engine_objects(), "NetworkPolicy")
    assert not allowed([policy], source=ROUTER, target=ENGINE, port=22)


def test_engine_policy_leaves_other_pods_alone() -> None:
    policy = builders.of_kind(builders.engine_objects(), "NetworkPolicy")
    assert allowed([policy], source=NEIGHBOUR, target=Pod(namespace="team-a", labels={"app": "db"}), port=5432)


def test_monitoring_namespace_may_scrape_when_configured() -> None:
    settings = builders.config(monitoringNamespace="monitoring")
    policy = builders.of_kind(builders.engine_objects(settings=settings), "NetworkPolicy")
    assert allowed([policy], source=PROMETHEUS, target=ENGINE, port=8000)


def test_without_a_router_pods_of_the_namespace_are_the_clients() -> None:
    policy = builders.of_kind(builders.engine_objects(router={"enabled": False}), "NetworkPolicy")
    assert allowed([policy], source=NEIGHBOUR, target=ENGINE, port=8000)
    assert not allowed([policy], source=ROUTER_ELSEWHERE, target=ENGINE, port=8000)


@pytest.mark.parametrize("source", [NEIGHBOUR, ROUTER_ELSEWHERE, OPERATOR, PROMETHEUS])
def test_everyone_may_use_the_router(source: Pod) -> None:
    policy = builders.of_kind(builders.router_objects(), "NetworkPolicy")
    assert allowed([policy], source=source, target=ROUTER, port=4000)


@pytest.mark.parametrize(("source", "expected"), [(OPERATOR, True), (NEIGHBOUR, False), (PROMETHEUS, False)])
def test_state_of_the_router_is_the_operators(source: Pod, expected: bool) -> None:
    policy = builders.of_kind(builders.router_objects(), "NetworkPolicy")
    assert allowed([policy], source=source, target=ROUTER, port=4001) is expected


def test_monitoring_namespace_may_scrape_the_router_when_configured() -> None:
    policy = builders.of_kind(builders.router_objects(monitoringNamespace="monitoring"), "NetworkPolicy")
    assert allowed([policy], source=PROMETHEUS, target=ROUTER, port=4001)
