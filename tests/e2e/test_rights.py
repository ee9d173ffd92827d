"""What operator and routers were refused, and what they may do and never did, in everything that ran before."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.audit import OPERATOR, WRITES, AuditLog
from tests.kubectl import Kubectl, Object

pytestmark = pytest.mark.last

ROUTER = ":gemma-router"
"""End of the name of every router's user."""
_APPLY = "asked within an apply of something that is not there, and no request of its own"
_COLLECTED = "for what no longer belongs to a plan; what goes with its GemmaDeployment is garbage collected"
_CACHE = "made only for spec.weights.cache with a size, which needs a storage class"
UNUSED = {
    "gemmadeployments.gemma4stack.dev/finalizers": {
        "update": "asked by the admission plugin OwnerReferencesPermissionEnforcement alone",
    },
    "clusterroles.rbac.authorization.k8s.io": {
        "bind": "asked within the making of a RoleBinding, and no request of its own",
    },
    "persistentvolumeclaims": dict.fromkeys(("get", "list", "watch", "create", "patch", "delete"), _CACHE),
    **{
        kind: {"create": _APPLY, "delete": _COLLECTED}
        for kind in (
            "deployments.apps",
            "services",
            "configmaps",
            "serviceaccounts",
            "poddisruptionbudgets.policy",
            "networkpolicies.networking.k8s.io",
            "rolebindings.rbac.authorization.k8s.io",
        )
    },
}
"""Rights that no request may have used, each with its reason, by resource and verb."""


def test_nobody_of_ours_was_ever_refused(audit: AuditLog) -> None:
    bindings = _bindings(audit)
    refused = [
        f"{entry['stageTimestamp']} {entry['user']['username']} {entry['verb']} {entry['requestURI']}"
        for entry in audit.entries()
        if _is_ours(entry) and entry.get("responseStatus", {}).get("code") == 403 and not _ends(entry, bindings)
    ]
    assert not refused, "\n".join(refused[:20])


def test_every_right_was_used_or_has_a_reason(kubectl: Kubectl, audit: AuditLog) -> None:
    used = _used(audit, lambda user: user == OPERATOR)
    assert len(used) > 20, "the log holds what the operator did"
    granted = _granted(
        kubectl.get("clusterrole", "gemma-operator"),
        kubectl.get("clusterrole", "gemma-system-gemma-operator-nodes"),
        kubectl.get("role", "gemma-operator", namespace="gemma-system"),
    )
    explained = {(resource, verb) for resource, verbs in UNUSED.items() for verb in verbs}
    assert not sorted(granted - used - explained), "granted, never used, and without a reason"
    assert not sorted(explained - granted), "a reason for what is not granted"


def test_every_right_of_the_routers_was_used(kubectl: Kubectl, audit: AuditLog) -> None:
    granted = _granted(kubectl.get("clusterrole", "gemma-router"))
    assert granted == _used(audit, lambda user: user.endswith(ROUTER))


def _used(audit: AuditLog, is_user: Callable[[str], bool]) -> set[tuple[str, str]]:
    """What was asked for of the API server: resource and verb."""
    return {
        (_resource(entry["objectRef"]), str(entry["verb"]))
        for entry in audit.entries()
        if "objectRef" in entry and is_user(entry["user"]["username"])
    }


def _granted(*roles: Object) -> set[tuple[str, str]]:
    return {
        (_named(group, *resource.split("/")), verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _resource(reference: dict[str, Any]) -> str:
    return _named(reference.get("apiGroup", ""), reference["resource"], reference.get("subresource", ""))


def _named(group: str, resource: str, subresource: str = "") -> str:
    """As `kubectl auth can-i` names it: `deployments.apps`, `pods/log`."""
    return ".".join(part for part in (resource, group) if part) + (f"/{subresource}" if subresource else "")


def _is_ours(entry: dict[str, Any]) -> bool:
    user = entry["user"]["username"]
    return bool(user == OPERATOR or (user.startswith("system:serviceaccount:") and user.endswith(ROUTER)))


def _ends(entry: dict[str, Any], bindings: dict[str, list[tuple[str, bool]]]) -> bool:
    """Whether what it was about was on its way out: a namespace, the last user of a router, the chart.

    Nothing may be made in such a namespace, and RoleBindings are gone before the pods that drain: those of routers, and
    of the operator in the namespace of the chart.
    """
    if "being terminated" in json.dumps(entry.get("responseStatus", {})):
        return True
    namespace = entry.get("objectRef", {}).get("namespace", "")
    if entry["user"]["username"] == OPERATOR and namespace != "gemma-system":
        return False
    before = [there for at, there in bindings.get(namespace, ()) if at <= entry["stageTimestamp"]]
    return bool(before) and not before[-1]


def _bindings(audit: AuditLog) -> dict[str, list[tuple[str, bool]]]:
    """When RoleBindings of each namespace were made (true) and deleted (false)."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for entry in audit.entries():
        about = entry.get("objectRef", {})
        done = entry.get("responseStatus", {}).get("code", 0) < 300
        if about.get("resource") == "rolebindings" and entry["verb"] in WRITES and done:
            change = (entry["stageTimestamp"], not entry["verb"].startswith("delete"))
            found.setdefault(about.get("namespace", ""), []).append(change)
    return found
