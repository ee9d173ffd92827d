"""What `kubectl gemma doctor` looks at, read from the API server with the rights of the person who asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from gemma_operator.api import names
from gemma_operator.api.errors import ApiError
from gemma_operator.cli.installed import CONFIG_LABEL as OPERATOR_LABEL
from gemma_operator.cli.installed import configuration_for
from gemma_operator.cli.session import Session
from gemma_operator.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    GEMMA_DEPLOYMENTS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    QUOTAS,
    Object,
    Resource,
)

CRDS: Final = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)
RUNTIME_CLASSES: Final = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", False)
STORAGE_CLASSES: Final = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", False)
LIMIT_RANGES: Final = Resource("", "v1", "limitranges", "LimitRange")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A cluster and one namespace of it. A list is `None` where it could not be read; `hidden` says why."""

    namespace: str
    version: str
    """Of the API server, such as `1.36`; empty: unknown."""
    crd: Object | None
    nodes: list[Object] | None
    pods: list[Object] | None
    """Of all namespaces where they may be listed, else of the one."""
    deployments: list[Object] | None
    """Routers and pools of the namespace."""
    operators: list[Object] | None
    operator_pods: list[Object] | None
    config: Mapping[str, Any] | None
    gemma_deployments: list[Object] | None
    quotas: list[Object] | None
    limit_ranges: list[Object] | None
    policies: list[Object] | None
    runtime_classes: list[Object] | None
    storage_classes: list[Object] | None
    metrics: str | None
    """The operator's metrics; `None`: not reached."""
    config_note: str = ""
    """Where another configuration could be meant."""
    hidden: Mapping[str, str] = field(default_factory=dict)
    """What was read by which name of field → why it could not be."""


async def read(here: Session) -> Surroundings:
    """Everything, as far as it may be read."""
    hidden: dict[str, str] = {}

    async def some(name: str, resource: Resource, *, namespace: str | None = None, labels: str = "") -> Any:
        try:
            items, _ = await here.client.list(resource, namespace=namespace, labels=labels)
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            hidden[name] = "you may not list them" if error.status == 403 else "the API server does not know them"
            return None
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in items]

    space = here.namespace
    operators = await some("operators", DEPLOYMENTS, labels=OPERATOR_LABEL)
    operator_pods = await some("operator_pods", PODS, labels=OPERATOR_LABEL)
    pods = await some("pods", PODS)
    if pods is None:
        pods = await some("own_pods", PODS, namespace=space)
    config, note = configuration_for([space], await some("config", CONFIG_MAPS, labels=OPERATOR_LABEL) or ())
    return Surroundings(
        namespace=space,
        version=await _version(here),
        crd=await _crd(here, hidden),
        nodes=await some("nodes", NODES),
        pods=pods,
        deployments=await some("deployments", DEPLOYMENTS, namespace=space),
        operators=operators,
        operator_pods=operator_pods,
        config=config,
        gemma_deployments=await some("gemma_deployments", GEMMA_DEPLOYMENTS, namespace=space),
        quotas=await some("quotas", QUOTAS, namespace=space),
        limit_ranges=await some("limit_ranges", LIMIT_RANGES, namespace=space),
        policies=await some("policies", NETWORK_POLICIES, namespace=space),
        runtime_classes=await some("runtime_classes", RUNTIME_CLASSES),
        storage_classes=await some("storage_classes", STORAGE_CLASSES),
        metrics=await _metrics(here, operator_pods or [], hidden),
        config_note=note if config is not None else "",
        hidden=hidden,
    )


async def _version(here: Session) -> str:
    try:
        found = yaml.safe_load(await here.client.read("/version"))
    except ApiError:
        return ""
    return f"{found['major']}.{found['minor']}".rstrip("+")


async def _crd(here: Session, hidden: dict[str, str]) -> Object | None:
    try:
        return await here.client.get(CRDS, name=f"{names.PLURAL}.{names.GROUP}")
    except ApiError as error:
        if error.status != 403:
            raise
        hidden["crd"] = "you may not read it"
        return None


async def _metrics(here: Session, pods: list[Object], hidden: dict[str, str]) -> str | None:
    """The metrics of the first operator pod that runs, through the API server."""
    for pod in pods:
        if (pod.get("status") or {}).get("phase") != "Running":
            continue
        ports = [
            port["containerPort"] for container in pod["spec"]["containers"] for port in container.get("ports") or ()
        ]
        metadata = pod["metadata"]
        path = PODS.path(namespace=metadata["namespace"], name=f"{metadata['name']}:{ports[0]}" if ports else "")
        if not ports:
            continue
        try:
            return (await here.client.read(f"{path}/proxy/metrics")).decode(errors="replace")
        except ApiError as error:
            hidden["metrics"] = "you may not use pods/proxy" if error.status == 403 else str(error)
    return None
