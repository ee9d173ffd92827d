"""The checks of `kubectl gemma doctor`: each says ok, warn or fail, what was found, and what to do. Pure."""

from typing import Final

from gemma_operator.api.config import OperatorConfig
from gemma_operator.catalog.types import Catalog
from gemma_operator.cli import checks_gpus, checks_installed, checks_namespace
from gemma_operator.cli.findings import Case, Check
from gemma_operator.cli.surroundings import Surroundings
from gemma_operator.inventory.build import build_inventory

_CHECKS: Final = (
    checks_installed.api,
    checks_installed.crd,
    checks_installed.operator,
    checks_installed.metrics,
    checks_gpus.gpus,
    checks_gpus.device_plugin,
    checks_gpus.drivers,
    checks_gpus.nodes,
    checks_namespace.runtime_classes,
    checks_namespace.storage,
    checks_namespace.policies,
    checks_namespace.quotas,
    checks_namespace.routers,
)


def checkup(seen: Surroundings, *, catalog: Catalog, config: OperatorConfig) -> list[Check]:
    """Every check, in the order in which a person would go through them."""
    inventory = None
    if seen.nodes is not None or not config.reads_nodes:
        inventory = build_inventory(
            nodes=seen.nodes or (), pods=seen.pods or (), quotas=seen.quotas or (), catalog=catalog, config=config
        )
    case = Case(seen, catalog, config, inventory)
    return [check for each in _CHECKS for check in each(case)]
