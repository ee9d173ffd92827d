"""Inventories and plans for tests."""

from typing import Any

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.load import load_catalog
from gemma_operator.catalog.types import Catalog
from gemma_operator.inventory.build import build_inventory
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.plan import plan
from gemma_operator.planner.types import Plan, Rejection

CATALOG = load_catalog()
CONFIG = OperatorConfig()


def spec_of(**fields: Any) -> GemmaDeploymentSpec:
    """A spec from fields as a person writes them."""
    return GemmaDeploymentSpec.model_validate(fields)


def inventory_of(
    *nodes: Any, pods: Any = (), catalog: Catalog = CATALOG, config: OperatorConfig = CONFIG, **more: Any
) -> Inventory:
    """An inventory of some nodes and pods."""
    return build_inventory(nodes=nodes, pods=pods, catalog=catalog, config=config, **more)


def plan_on(
    inventory: Inventory,
    *,
    name: str = "chat",
    namespace: str = "default",
    catalog: Catalog = CATALOG,
    config: OperatorConfig = CONFIG,
    **fields: Any,
) -> Plan:
    """The plan of a spec on an inventory."""
    return plan(
        spec=spec_of(**fields), name=name, namespace=namespace, inventory=inventory, catalog=catalog, config=config
    )


def rejection(plan: Plan, **wanted: Any) -> Rejection:
    """The only rejected candidate with these fields."""
    found = [each for each in plan.rejected if all(getattr(each, key) == value for key, value in wanted.items())]
    assert len(found) == 1, [each.reason for each in plan.rejected]
    return found[0]
