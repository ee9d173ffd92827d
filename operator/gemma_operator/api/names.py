"""Names that other objects, people and the router see: labels, annotations, ports, object names."""

from typing import Final

GROUP: Final = "gemma4stack.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "GemmaDeployment"
PLURAL: Final = "gemmadeployments"
SINGULAR: Final = "gemmadeployment"
SHORT: Final = "gdep"
API_VERSION: Final = f"{GROUP}/{VERSION}"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
NAME_LABEL: Final = "app.kubernetes.io/name"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
DEPLOYMENT_LABEL: Final = f"{GROUP}/deployment"
POOL_LABEL: Final = f"{GROUP}/pool"
ROUTER_LABEL: Final = f"{GROUP}/router"

MANAGER: Final = "gemma-operator"
SCALER: Final = "gemma-scaler"
ENGINE_NAME: Final = "gemma-engine"
ROUTER_NAME: Final = "gemma-router"

PAUSED_ANNOTATION: Final = f"{GROUP}/paused"
UPGRADE_ANNOTATION: Final = f"{GROUP}/upgrade"
"""Of a GemmaDeployment: each new value asks once for the operator's current version of its engine pods."""
APPLIED_ANNOTATION: Final = f"{GROUP}/applied"
PLAN_ANNOTATION: Final = f"{GROUP}/plan"
GOOD_ANNOTATION: Final = f"{GROUP}/good"
RAN_ANNOTATION: Final = f"{GROUP}/ran"
ROLLED_BACK_ANNOTATION: Final = f"{GROUP}/rolled-back"
DELETION_COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
"""Read by the ReplicaSet controller: which pod goes first when one must go."""

ENGINE_CONTAINER: Final = "engine"
ROUTER_CONTAINER: Final = "router"
ENGINE_PORT: Final = 8000
ROUTER_PORT: Final = 4000
ROUTER_SERVICE_PORT: Final = 80
HTTP_PORT_NAME: Final = "http"


def pool_deployment(*, deployment: str, pool: int) -> str:
    """Name of the Deployment of one pool."""
    return f"{deployment}-{pool}"
