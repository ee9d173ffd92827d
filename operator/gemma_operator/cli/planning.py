"""Several deployments against one ledger, in the order in which the operator plans them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.errors import ConfigurationError
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.types import Catalog
from gemma_operator.cli.failure import CliError
from gemma_operator.cli.live import Cluster
from gemma_operator.cli.source import Object, Wanted
from gemma_operator.inventory.build import build_inventory, with_promises
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.order import planning_order
from gemma_operator.planner.plan import plan
from gemma_operator.planner.serialize import promise_of
from gemma_operator.planner.types import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A deployment with its plan."""

    wanted: Wanted
    plan: Plan
    inventory: Inventory
    """What it was planned on: with what is promised to those before it."""


def plan_all(wanted: Sequence[Wanted], *, cluster: Cluster, catalog: Catalog, config: OperatorConfig) -> list[Planned]:
    """Plans in the order of the file; made in the order of priority, age and name, so that none shares a GPU.

    A GemmaDeployment of the cluster that has no pool yet takes its turn too, as it would in the operator.
    """
    asked = {(each.namespace, each.name): each for each in wanted}
    existing = {
        (obj["metadata"].get("namespace") or "", obj["metadata"]["name"]): obj for obj in cluster.objects[names.KIND]
    }
    queue = [_aged(each, existing.get(key)) for key, each in asked.items()]
    queue += _unplanned(cluster, existing={key: obj for key, obj in existing.items() if key not in asked})
    try:
        inventory = build_inventory(
            nodes=cluster.nodes,
            pods=cluster.objects["Pod"],
            quotas=cluster.objects["ResourceQuota"],
            deployments=cluster.objects["Deployment"],
            catalog=catalog,
            config=config,
        )
    except ConfigurationError as error:
        raise CliError(str(error)) from None
    plans: dict[tuple[str, str], tuple[Plan, Inventory]] = {}
    for each in sorted(queue, key=lambda one: planning_order(one.obj)):
        made = plan(
            spec=each.spec,
            name=each.name,
            namespace=each.namespace,
            inventory=inventory,
            catalog=catalog,
            config=config,
        )
        plans[(each.namespace, each.name)] = (made, inventory)
        promises = [
            promise_of(pool, namespace=each.namespace, name=each.name, index=index)
            for index, pool in enumerate(made.pools)
        ]
        inventory = with_promises(inventory, promises)
    return [Planned(wanted=each, plan=plans[key][0], inventory=plans[key][1]) for key, each in asked.items()]


def _aged(wanted: Wanted, existing: Object | None) -> Wanted:
    """With the age of the object that it would change, and its namespace written out."""
    metadata = dict(wanted.obj.get("metadata") or {}) | {"namespace": wanted.namespace}
    created = ((existing or {}).get("metadata") or {}).get("creationTimestamp")
    if created:
        metadata["creationTimestamp"] = created
    return Wanted(
        obj={**wanted.obj, "metadata": metadata}, spec=wanted.spec, name=wanted.name, namespace=wanted.namespace
    )


def _unplanned(cluster: Cluster, *, existing: dict[tuple[str, str], Object]) -> list[Wanted]:
    with_pools = {
        (obj["metadata"].get("namespace") or "", obj["metadata"]["labels"].get(names.DEPLOYMENT_LABEL))
        for obj in cluster.objects["Deployment"]
    }
    found = []
    for (namespace, name), obj in existing.items():
        if (namespace, name) in with_pools:
            continue
        try:
            spec = GemmaDeploymentSpec.model_validate(obj.get("spec") or {})
        except ValidationError:
            continue
        found.append(Wanted(obj=obj, spec=spec, name=name, namespace=namespace))
    return found
