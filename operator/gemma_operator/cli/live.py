"""What the planner reads of a cluster: from objects at hand, or from the API server."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gemma_operator.api import names
from gemma_operator.api.errors import ApiError
from gemma_operator.cli.failure import CliError
from gemma_operator.cli.installed import CONFIG_LABEL, configuration_for
from gemma_operator.cli.session import AGENT, run
from gemma_operator.cluster.client import Client, connect
from gemma_operator.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    GEMMA_DEPLOYMENTS,
    NODES,
    PODS,
    QUOTAS,
    Resource,
)
from gemma_operator.inventory.trim import (
    trim_deployment,
    trim_gemma_deployment,
    trim_node,
    trim_pod,
    trim_quota,
)

Object = dict[str, Any]

_TRIM = {
    "Node": trim_node,
    "Pod": trim_pod,
    "ResourceQuota": trim_quota,
    "Deployment": trim_deployment,
    names.KIND: trim_gemma_deployment,
}
_OTHERS_DUMP = "for a dump (`kubectl gemma dump > cluster.json`), which --nodes cluster.json takes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Trimmed objects by kind, sorted, and the operator's configuration where it was found."""

    objects: Mapping[str, tuple[Object, ...]]
    config: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = field(default=())
    """What could not be read."""

    @classmethod
    def of(
        cls, items: Iterable[Mapping[str, Any]], *, config: Mapping[str, Any] | None = None, notes: Iterable[str] = ()
    ) -> "Cluster":
        """From objects of any kinds, whole or trimmed."""
        found: dict[str, list[Object]] = {kind: [] for kind in _TRIM}
        for item in items:
            kind = str(item.get("kind", ""))
            if kind == "Deployment" and names.POOL_LABEL not in (item["metadata"].get("labels") or {}):
                continue
            if kind in _TRIM:
                found[kind].append(_TRIM[kind](item))
        for objects in found.values():
            objects.sort(key=lambda obj: (obj["metadata"].get("namespace") or "", obj["metadata"]["name"]))
        return cls(objects={kind: tuple(objects) for kind, objects in found.items()}, config=config, notes=tuple(notes))

    @property
    def nodes(self) -> tuple[Object, ...]:
        """Nodes by name."""
        return self.objects["Node"]

    def to_json(self) -> Object:
        """The dump: a `List` as kubectl prints it, with the configuration beside the items."""
        items = [obj for kind in _TRIM for obj in self.objects[kind]]
        return {"apiVersion": "v1", "kind": "List", "config": dict(self.config or {}), "items": items}


def reads_nodes(config: Mapping[str, Any] | None) -> bool:
    """Whether an operator with that configuration, checked or not, reads the nodes of its cluster."""
    inventory = (config or {}).get("inventory")
    return not (isinstance(inventory, Mapping) and inventory.get("source") == "static")


def read_cluster(
    *, kubeconfig: str | None, context: str | None, namespaces: Collection[str], instead: str = _OTHERS_DUMP
) -> Cluster:
    """All that the planner reads, from the API server, with the configuration of who watches these namespaces.

    `instead`: what somebody may ask for who may not read it.
    """
    return run(_read(kubeconfig=kubeconfig, context=context, namespaces=namespaces, instead=instead))


async def _read(*, kubeconfig: str | None, context: str | None, namespaces: Collection[str], instead: str) -> Cluster:
    client = await connect(kubeconfig=kubeconfig, context=context, agent=AGENT)
    try:
        items: list[Object] = []
        notes: list[str] = []
        config = await _configuration(client, namespaces=namespaces, notes=notes)
        for resource, labels in (
            *(((NODES, ""),) if reads_nodes(config) else ()),
            (PODS, ""),
            (QUOTAS, ""),
            (DEPLOYMENTS, names.POOL_LABEL),
            (GEMMA_DEPLOYMENTS, ""),
        ):
            items += await _list(client, resource, labels=labels, notes=notes, instead=instead)
        return Cluster.of(items, config=config, notes=notes)
    finally:
        await client.close()


async def _list(client: Client, resource: Resource, *, labels: str, notes: list[str], instead: str) -> list[Object]:
    """Objects of one kind. Without nodes and pods there is no plan; the rest is noted when it cannot be read."""
    try:
        items, _ = await client.list(resource, labels=labels)
    except ApiError as error:
        if resource in (NODES, PODS) and error.status == 403:
            raise CliError(
                f"planning reads all {resource.plural} of the cluster, and you may not list them ({error.detail}): ask "
                f"an administrator for that right, or {instead}"
            ) from None
        if error.status not in (403, 404):
            raise
        why = "the CRD is not installed" if error.status == 404 else "you may not list them"
        notes.append(f"{resource.plural} are left out: {why}")
        return []
    return [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in items]


async def _configuration(client: Client, *, namespaces: Collection[str], notes: list[str]) -> Mapping[str, Any] | None:
    """The configuration that the chart installed, where one is found and may be read."""
    try:
        items, _ = await client.list(CONFIG_MAPS, labels=CONFIG_LABEL)
    except ApiError as error:
        if error.status != 403:
            raise
        notes.append("the operator's configuration is not read, because you may not list ConfigMaps: pass --config")
        return None
    config, note = configuration_for(namespaces, items)
    if note:
        notes.append(f"{note}; --config names another" if config is not None else note)
    return config
