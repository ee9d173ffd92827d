"""Names and labels of the objects that are rendered."""

from typing import Final

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.render.types import DeploymentIdentity, Object

CHECKSUM_ANNOTATION: Final = f"{names.GROUP}/checksum"
CONFIG_ANNOTATION: Final = f"{names.GROUP}/config"
"""On router pods: hash of what needs a restart to take effect."""

OPERATOR_LABELS: Final = {"app.kubernetes.io/part-of": "gemma4-stack"}
"""Labels of the operator's pods that no value of the chart changes."""

MASTER_KEY: Final = "master-key"
ENGINE_KEY: Final = "engine-key"
DEFAULT_CLIENT: Final = "default"
ROUTES_KEY: Final = "routes.json"
CONFIG_KEY: Final = "config.yaml"
PROBE_KEY: Final = "startup_probe.py"


def service(deployment: str) -> str:
    """The Service of a GemmaDeployment's engines."""
    return deployment


def probe_config_map(deployment: str) -> str:
    """The ConfigMap with the startup probe of a GemmaDeployment."""
    return f"{deployment}-probe"


def weights_claim(deployment: str) -> str:
    """The PersistentVolumeClaim that the operator creates for weights."""
    return f"{deployment}-weights"


def auth_secret(*, router: str, config: OperatorConfig) -> str:
    """The Secret with `master-key` and `engine-key`: the configured one, else the generated one of this router."""
    return config.router.master_key_secret or f"{router}-auth"


def keys_secret(*, router: str, config: OperatorConfig) -> str:
    """The Secret with the keys of clients: the configured one, else the generated one of this router."""
    return config.router.client_keys_secret or f"{router}-keys"


def config_config_map(router: str) -> str:
    """The ConfigMap with LiteLLM's configuration."""
    return f"{router}-config"


def code_config_map(router: str) -> str:
    """The ConfigMap with the source of `gemma_router`."""
    return f"{router}-code"


def routes_config_map(router: str) -> str:
    """The ConfigMap that the router watches."""
    return f"{router}-routes"


def engine_labels(deployment: str) -> dict[str, str]:
    """Labels of everything that belongs to one GemmaDeployment."""
    return {
        names.MANAGED_BY_LABEL: names.MANAGER,
        names.NAME_LABEL: names.ENGINE_NAME,
        names.INSTANCE_LABEL: deployment,
        names.DEPLOYMENT_LABEL: deployment,
    }


def engine_selector(deployment: str) -> dict[str, str]:
    """Labels that select every replica of a GemmaDeployment and nothing else."""
    return {names.NAME_LABEL: names.ENGINE_NAME, names.DEPLOYMENT_LABEL: deployment}


def router_labels(router: str) -> dict[str, str]:
    """Labels of everything that belongs to one router."""
    return {
        names.MANAGED_BY_LABEL: names.MANAGER,
        names.NAME_LABEL: names.ROUTER_NAME,
        names.INSTANCE_LABEL: router,
        names.ROUTER_LABEL: router,
    }


def router_selector(router: str) -> dict[str, str]:
    """Labels that select the pods of a router."""
    return {names.NAME_LABEL: names.ROUTER_NAME, names.ROUTER_LABEL: router}


def controller_reference(deployment: DeploymentIdentity) -> Object:
    """The owner reference of an object that belongs to one GemmaDeployment alone."""
    return {**user_reference(deployment), "controller": True, "blockOwnerDeletion": True}


def user_reference(deployment: DeploymentIdentity) -> Object:
    """The owner reference of an object that several GemmaDeployments share: it goes with the last of them."""
    return {
        "apiVersion": deployment.api_version,
        "kind": names.KIND,
        "name": deployment.name,
        "uid": deployment.uid,
    }
