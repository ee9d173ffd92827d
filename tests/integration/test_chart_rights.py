"""Every right that the chart grants: one that is added, or goes, has to be written here as well."""

import pytest

from tests import helm
from tests.helm import STACK, Object, named

OWN = "get list watch create patch delete"
SERVED = {
    "gemma4stack.dev/gemmadeployments": "list watch",
    "gemma4stack.dev/gemmadeployments/status": "update",
    "gemma4stack.dev/gemmadeployments/finalizers": "update",
    "/pods": "list watch patch",
    "/pods/log": "get",
    "/resourcequotas": "list watch",
    "/events": "list create patch",
    "apps/deployments": OWN,
    "/services": OWN,
    "/configmaps": OWN,
    "/serviceaccounts": OWN,
    "/persistentvolumeclaims": OWN,
    "policy/poddisruptionbudgets": OWN,
    "networking.k8s.io/networkpolicies": OWN,
    "rbac.authorization.k8s.io/rolebindings": OWN,
    "/secrets": "create",
}
LEASE = {
    "coordination.k8s.io/leases": "create",
    "coordination.k8s.io/leases gemma-operator": "get update",
}
NODES = {"/nodes": "list watch", "/pods": "list watch"}
ROUTER = {"discovery.k8s.io/endpointslices": "list watch", "/configmaps": "list watch"}
EXPOSING = "get list watch create patch"

CLUSTER: Object = {
    "ClusterRole/gemma-operator": {**SERVED, "rbac.authorization.k8s.io/clusterroles gemma-router": "bind"},
    "ClusterRole/gemma-system-gemma-operator-nodes": NODES,
    "ClusterRole/gemma-router": ROUTER,
    "ClusterRole/gemma-operator-view": {
        "gemma4stack.dev/gemmadeployments": "get list watch",
        "gemma4stack.dev/gemmadeployments/status": "get list watch",
        "gemma4stack.dev/gemmadeployments/scale": "get list watch",
    },
    "ClusterRole/gemma-operator-edit": {
        "gemma4stack.dev/gemmadeployments": "create update patch delete deletecollection",
        "gemma4stack.dev/gemmadeployments/scale": "update patch",
    },
    "Role/gemma-system/gemma-operator": LEASE,
}
WATCHED = {**SERVED, "rbac.authorization.k8s.io/roles gemma-router": "bind"}
NAMESPACED: Object = {
    "Role/gemma-system/gemma-operator": LEASE,
    **{f"Role/{namespace}/gemma-operator-watched": WATCHED for namespace in ("team-a", "team-b")},
    **{f"Role/{namespace}/gemma-router": ROUTER for namespace in ("team-a", "team-b")},
}
EXPOSED: Object = {
    **CLUSTER,
    "ClusterRole/gemma-operator": {
        **CLUSTER["ClusterRole/gemma-operator"],
        "networking.k8s.io/ingresses": EXPOSING,
        "gateway.networking.k8s.io/httproutes": EXPOSING,
    },
}

# The first test builds helm where it is missing.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    ("variant", "wanted"), [("default", CLUSTER), ("namespaced", NAMESPACED), ("exposed", EXPOSED)]
)
def test_these_rights_are_granted_and_no_others(variant: str, wanted: Object) -> None:
    objects = helm.rendered(STACK, helm.variants(STACK)[variant])
    roles = {_where(obj): _rights(obj) for obj in objects if obj["kind"] in ("ClusterRole", "Role")}
    assert roles == {
        where: {what: set(verbs.split()) for what, verbs in rights.items()} for where, rights in wanted.items()
    }


@pytest.mark.parametrize("variant", ["default", "namespaced", "exposed"])
def test_the_operator_alone_gets_them(variant: str) -> None:
    """Who has the router's is up to the operator; the aggregated ones belong to roles of the cluster."""
    objects = helm.rendered(STACK, helm.variants(STACK)[variant])
    operator = {"kind": "ServiceAccount", "name": "gemma-operator", "namespace": "gemma-system"}
    bound = set()
    for binding in objects:
        if binding["kind"] in ("ClusterRoleBinding", "RoleBinding"):
            assert binding["subjects"] == [operator]
            role = named(_same_place(objects, binding), binding["roleRef"]["kind"], binding["roleRef"]["name"])
            bound.add(_where(role))
    granted = {_where(obj) for obj in objects if obj["kind"] in ("ClusterRole", "Role")}
    assert {where.rpartition("/")[2] for where in granted - bound} <= {
        "gemma-router",
        "gemma-operator-view",
        "gemma-operator-edit",
    }


def _rights(role: Object) -> dict[str, set[str]]:
    """Verbs by `group/resource`, with the names after it where they are limited to some."""
    found: dict[str, set[str]] = {}
    for rule in role["rules"]:
        assert rule.keys() <= {"apiGroups", "resources", "resourceNames", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                what = " ".join([f"{group}/{resource}", *rule.get("resourceNames", [])])
                found.setdefault(what, set()).update(rule["verbs"])
    return found


def _where(obj: Object) -> str:
    metadata = obj["metadata"]
    return "/".join(part for part in (obj["kind"], metadata.get("namespace"), metadata["name"]) if part)


def _same_place(objects: list[Object], binding: Object) -> list[Object]:
    return [obj for obj in objects if obj["metadata"].get("namespace") == binding["metadata"].get("namespace")]
