"""What operator and routers were refused, and what they may do and never did, in everything that ran before."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.audit import OPERATOR, WRITES, AuditLog
from tests.kubectl import Kubectl

pytestmark = pytest.mark.last

ROUTER = ":gemma-router"
"""End of the name of every router's user."""
UNUSED = {
    "persistentvolumeclaims": "made only for spec.weights.cache with a size, which needs a storage class",
    "gemmadeployments/finalizers": "asked by the admission plugin OwnerReferencesPermissionEnforcement alone",
    "create": "asked within an apply of something that is not there, and no request of its own",
    "bind": "asked within the making of a RoleBinding, and no request of its own",
    "delete": "of kinds that no change of these tests makes needless; the garbage collector removes the rest",
}
"""Rights that no request used, each with its reason: a resource with all its verbs, or a verb of every resource."""


def test_nobody_of_ours_was_ever_refused(audit: AuditLog) -> None:
    bindings = _bindings(audit)
    refused = [
        f"{entry['stageTimestamp']} {entry['user']['username']} {entry['verb']} {entry['requestURI']}"
        for entry in audit.entries()
        if _is_ours(entry) and entry.get("responseStatus", {}).get("code") == 403 and not _ends(entry, bindings)
    ]
    assert not refused, "\n".join(refused[:20])


def test_every_right_was_used_or_has_a_reason(kubectl: Kubectl, audit: AuditLog) -> None:
    used = {
        (_resource(entry["objectRef"]), entry["verb"])
        for entry in audit.entries()
        if entry["user"]["username"] == OPERATOR and "objectRef" in entry
    }
    assert len(used) > 20, "the log holds what the operator did"
    unused = sorted(
        f"{resource} {verb}"
        for resource, verb in _granted(kubectl)
        if (resource, verb) not in used and not {resource, verb} & UNUSED.keys()
    )
    assert not unused, "granted, never used, and without a reason"


def _granted(kubectl: Kubectl) -> Iterator[tuple[str, str]]:
    roles = [
        kubectl.get("clusterrole", "gemma-operator"),
        kubectl.get("clusterrole", "gemma-system-gemma-operator-nodes"),
        kubectl.get("role", "gemma-operator", namespace="gemma-system"),
    ]
    for role in roles:
        for rule in role["rules"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield resource, verb


def _resource(reference: dict[str, Any]) -> str:
    return "/".join(part for part in (reference.get("resource"), reference.get("subresource")) if part)


def _is_ours(entry: dict[str, Any]) -> bool:
    user = entry["user"]["username"]
    return bool(user == OPERATOR or (user.startswith("system:serviceaccount:") and user.endswith(ROUTER)))


def _ends(entry: dict[str, Any], bindings: dict[str, list[tuple[str, bool]]]) -> bool:
    """Whether what it was about was on its way out: a namespace, the last user of a router, the chart.

    Nothing may be made in such a namespace, and RoleBindings are gone before the pods that drain.
    """
    if "being terminated" in json.dumps(entry.get("responseStatus", {})):
        return True
    namespace = entry.get("objectRef", {}).get("namespace", "")
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
