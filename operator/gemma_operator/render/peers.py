"""Who may open connections: peers of NetworkPolicies."""

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.render.names import OPERATOR_LABELS, router_selector
from gemma_operator.render.types import Object

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""Set by the API server on every namespace."""


def operator_peers(*, config: OperatorConfig, operator_namespace: str) -> list[Object]:
    """The operator, and the monitoring namespace if there is one."""
    peers: list[Object] = [
        {
            "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: operator_namespace}},
            "podSelector": {"matchLabels": dict(OPERATOR_LABELS)},
        }
    ]
    if config.monitoring_namespace:
        peers.append({"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: config.monitoring_namespace}}})
    return peers


def engine_peers(*, spec: GemmaDeploymentSpec, config: OperatorConfig, operator_namespace: str) -> list[Object]:
    """Who may reach engines: the pods of their router, or with no router every pod of the namespace."""
    clients = {"matchLabels": router_selector(spec.router.name)} if spec.router.enabled else {}
    return [{"podSelector": clients}, *operator_peers(config=config, operator_namespace=operator_namespace)]
