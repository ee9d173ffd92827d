"""What operator and routers were refused, and what they may do and never did, in everything that ran before."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.audit import OPERATOR, AuditLog
from tests.kubectl import Kubectl

pytestmark = pytest.mark.last

ROUTER = ":gemma-router"
"""End of the name of every router's user."""
UNUSED = {
    "persistentvolumeclaims": "made only for spec.weights.cache with a size, which needs a storage class",
    "gemmadeployments/finalizers update": "asked by the admission plugin OwnerReferencesPermissionEnforcement alone",
    "clusterroles bind": "checked inside the creation of a RoleBinding, and never a request of its own",
    "events get": "goes with list, for `kubectl gemma` run as the operator",
}
"""Rights that no request used, each with its reason: a resource with all its verbs, or one verb of it."""


def test_nobody_of_ours_was_ever_refused(audit: AuditLog) -> None:
    unbound = _unbound(audit)
    refused = [
        f"{entry['stageTimestamp']} {entry['user']['username']} {entry['verb']} {entry['requestURI']}"
        for entry in audit.entries()
        if _is_ours(entry) and entry.get("responseStatus", {}).get("code") == 403 and not _ends(entry, unbound)
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
        if (resource, verb) not in used and resource not in UNUSED
    )
    assert set(unused) <= UNUSED.keys(), f"granted, never used, and without a reason: {set(unused) - UNUSED.keys()}"


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


def _ends(entry: dict[str, Any], unbound: dict[str, str]) -> bool:
    """Whether what it was about was on its way out: a namespace, or a router whose last user was deleted.

    Nothing may be made in such a namespace, and RoleBindings are gone before the pods that drain.
    """
    if "being terminated" in json.dumps(entry.get("responseStatus", {})):
        return True
    gone = unbound.get(entry.get("objectRef", {}).get("namespace", ""))
    return bool(entry["user"]["username"].endswith(ROUTER) and gone and entry["stageTimestamp"] >= gone)


def _unbound(audit: AuditLog) -> dict[str, str]:
    """When the first RoleBinding of each namespace was deleted."""
    found: dict[str, str] = {}
    for entry in audit.entries():
        about = entry.get("objectRef", {})
        if about.get("resource") == "rolebindings" and entry["verb"] in ("delete", "deletecollection"):
            found.setdefault(about.get("namespace", ""), entry["stageTimestamp"])
    return found
