"""The kinds that the operator reads or writes, and their paths."""

from dataclasses import dataclass
from typing import Any

from gemma_operator.api import names

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of the API: where its objects live."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`version` or `group/version`, as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, *, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of the collection, or of one object or its subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


GEMMA_DEPLOYMENTS = Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
EVENTS = Resource("", "v1", "events", "Event")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")

OWNED = (
    DEPLOYMENTS,
    SERVICES,
    CONFIG_MAPS,
    SERVICE_ACCOUNTS,
    CLAIMS,
    DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
)
"""Kinds that the operator applies, watched by the label of its field manager. Secrets are created and never read."""

EXPOSING = (INGRESSES, HTTP_ROUTES)
"""Kinds that the operator applies and watches only where they are configured."""

BY_KIND = {(r.api_version, r.kind): r for r in (*OWNED, *EXPOSING, SECRETS, GEMMA_DEPLOYMENTS)}


def resource_of(manifest: Object) -> Resource:
    """The resource of a manifest; raises `KeyError` for a kind that the operator does not write."""
    return BY_KIND[(manifest["apiVersion"], manifest["kind"])]
