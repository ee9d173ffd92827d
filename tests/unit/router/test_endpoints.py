"""Slices and routes → members: readiness, termination, merging, families, ports."""

from __future__ import annotations

from typing import Any

import pytest
from gemma_router.endpoints import Member, desired_members
from gemma_router.routes import Route

ROUTES = (Route("chat"), Route("code"))


def make_slice(
    *endpoints: dict[str, Any], deployment: str = "chat", family: str = "IPv4", ports: Any = None
) -> dict[str, Any]:
    return {
        "metadata": {"name": "x", "labels": {"gemma4stack.dev/deployment": deployment}},
        "addressType": family,
        "ports": [{"name": "http", "port": 8000}] if ports is None else ports,
        "endpoints": list(endpoints),
    }


def endpoint(address: str, pod: str = "", **conditions: Any) -> dict[str, Any]:
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False, **conditions},
        **({"targetRef": {"kind": "Pod", "uid": pod}} if pod else {}),
    }


def ids(*slices: dict[str, Any], routes: tuple[Route, ...] = ROUTES) -> set[str]:
    return set(desired_members(slices, routes))


def test_a_ready_endpoint_is_a_member() -> None:
    members = desired_members([make_slice(endpoint("10.0.0.1", "uid-1"))], ROUTES)
    assert members == {"chat@10.0.0.1:8000": Member("chat", "10.0.0.1", 8000, "uid-1")}
    assert members["chat@10.0.0.1:8000"].url == "http://10.0.0.1:8000"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"ready": True}, True),
        ({"ready": None}, True),
        ({"ready": False}, False),
        ({"ready": True, "terminating": True}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        ({"ready": True, "terminating": None}, True),
    ],
)
def test_only_ready_and_not_terminating(conditions: dict[str, Any], expected: bool) -> None:
    assert bool(ids(make_slice(endpoint("10.0.0.1", **conditions)))) is expected


def test_conditions_that_are_missing_mean_ready() -> None:
    assert ids(make_slice({"addresses": ["10.0.0.1"]})) == {"chat@10.0.0.1:8000"}


def test_many_slices_of_one_service_are_merged() -> None:
    first = make_slice(*(endpoint(f"10.0.0.{n}", f"a{n}") for n in range(100)))
    second = make_slice(*(endpoint(f"10.0.1.{n}", f"b{n}") for n in range(50)))
    assert len(ids(first, second)) == 150


def test_an_endpoint_in_two_slices_counts_once_and_terminating_wins() -> None:
    one, same = make_slice(endpoint("10.0.0.1", "a")), make_slice(endpoint("10.0.0.1", "a"))
    assert ids(one, same) == {"chat@10.0.0.1:8000"}
    leaving = make_slice(endpoint("10.0.0.1", "a", ready=False, terminating=True))
    assert ids(one, leaving) == set()
    assert ids(leaving, one) == set()


def test_an_address_used_again_by_another_pod_is_a_member() -> None:
    old = make_slice(endpoint("10.0.0.1", "old", ready=False, terminating=True))
    new = make_slice(endpoint("10.0.0.1", "new"))
    assert desired_members([old, new], ROUTES)["chat@10.0.0.1:8000"].pod == "new"


def test_dual_stack_uses_one_family() -> None:
    four = make_slice(endpoint("10.0.0.1", "a"))
    six = make_slice(endpoint("fd00::1", "a"), family="IPv6")
    assert ids(six, four) == {"chat@10.0.0.1:8000"}
    assert ids(six) == {"chat@[fd00::1]:8000"}
    assert ids(six, make_slice()) == {"chat@[fd00::1]:8000"}
    assert ids(make_slice(endpoint("example.org"), family="FQDN")) == set()


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([{"name": "http", "port": 8000}, {"name": "metrics", "port": 9000}], {"chat@10.0.0.1:8000"}),
        ([{"name": "metrics", "port": 9000}, {"name": "http", "port": 8000}], {"chat@10.0.0.1:8000"}),
        ([{"name": "", "port": 8080}], {"chat@10.0.0.1:8080"}),
        ([{"name": "a", "port": 1}, {"name": "b", "port": 2}], set()),
        ([{"name": "http", "port": None}], set()),
        ([], set()),
    ],
)
def test_the_port_is_the_one_named_http_or_the_only_one(ports: list[dict[str, Any]], expected: set[str]) -> None:
    assert ids(make_slice(endpoint("10.0.0.1"), ports=ports)) == expected


def test_a_slice_without_endpoints_has_null_fields() -> None:
    item = {"metadata": {"labels": {"gemma4stack.dev/deployment": "chat"}}, "ports": None, "endpoints": None}
    assert ids(item) == set()


def test_deployments_without_a_route_are_left_out() -> None:
    assert ids(make_slice(endpoint("10.0.0.1"), deployment="gone")) == set()
    assert ids({"metadata": {}, "endpoints": [endpoint("10.0.0.1")]}) == set()
    both = [make_slice(endpoint("10.0.0.1")), make_slice(endpoint("10.0.0.2"), deployment="code")]
    assert ids(*both) == {"chat@10.0.0.1:8000", "code@10.0.0.2:8000"}
    assert ids(*both, routes=(Route("code"),)) == {"code@10.0.0.2:8000"}
