"""Pods of engines and routers are admitted under Pod Security *restricted*, and the check knows what is not."""

from copy import deepcopy
from typing import Any

import pytest

from tests.unit.render import builders
from tests.unit.render.pod_security import violations


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"weights": {"cache": {"claimName": "models"}}},
        {"pod": {"serviceAccountName": "reader", "priorityClassName": "high"}},
        {"router": {"enabled": False}},
    ],
)
def test_engine_pods_are_admitted(fields: dict[str, Any]) -> None:
    assert violations(builders.of_kind(builders.engine_objects(**fields), "Deployment")["spec"]["template"]) == []


def test_router_pods_are_admitted() -> None:
    assert violations(builders.of_kind(builders.router_objects(), "Deployment")["spec"]["template"]) == []


BAD: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "hostNetwork is set": (("spec", "hostNetwork"), True),
    "volume home has type hostPath": (("spec", "volumes", 1), {"name": "home", "hostPath": {"path": "/"}}),
    "pod: runAsUser is 0": (("spec", "securityContext", "runAsUser"), 0),
    "pod: runAsNonRoot is false": (("spec", "securityContext", "runAsNonRoot"), False),
    "pod: seccompProfile": (("spec", "securityContext", "seccompProfile", "type"), "Unconfined"),
    "engine: privileged": (("spec", "containers", 0, "securityContext", "privileged"), True),
    "engine: allowPrivilegeEscalation is not false": (
        ("spec", "containers", 0, "securityContext", "allowPrivilegeEscalation"),
        True,
    ),
    "engine: capabilities are not dropped": (("spec", "containers", 0, "securityContext", "capabilities"), {}),
    "engine: capabilities are added": (
        ("spec", "containers", 0, "securityContext", "capabilities"),
        {"drop": ["ALL"], "add": ["IPC_LOCK"]},
    ),
    "engine: hostPort 8000": (("spec", "containers", 0, "ports", 0, "hostPort"), 8000),
    "engine: readinessProbe: host is set": (
        ("spec", "containers", 0, "readinessProbe", "httpGet", "host"),
        "10.0.0.1",
    ),
    "engine: procMount": (("spec", "containers", 0, "securityContext", "procMount"), "Unmasked"),
}


@pytest.mark.parametrize("expected", BAD)
def test_what_restricted_forbids_is_found(expected: str) -> None:
    template = deepcopy(builders.of_kind(builders.engine_objects(), "Deployment")["spec"]["template"])
    path, value = BAD[expected]
    place: Any = template
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert expected in violations(template)


@pytest.mark.parametrize("missing", ["runAsNonRoot", "seccompProfile"])
def test_what_restricted_demands_is_missed(missing: str) -> None:
    template = deepcopy(builders.of_kind(builders.engine_objects(), "Deployment")["spec"]["template"])
    del template["spec"]["securityContext"][missing]
    assert [found for found in violations(template) if missing in found]
