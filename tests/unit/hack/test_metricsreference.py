"""The reference of metrics names everything that is exported."""

from gemma_operator.cluster import telemetry
from gemma_router.metrics import GAUGES, HELD, Metrics
from metricsreference import metrics_reference, operator_families, router_families


def test_nothing_of_the_operators_registry_is_left_out() -> None:
    exported = {family.name for family in telemetry.REGISTRY.collect() if family.name.startswith("gemma_")}
    assert len(exported) > 15
    assert exported <= {family.name for family in operator_families()}


def test_nothing_of_the_routers_registry_is_left_out() -> None:
    metrics = Metrics(lambda: {"chat": dict.fromkeys((*GAUGES, *HELD), 0)})
    exported = {family.name for family in metrics.registry.collect()}
    assert len(exported) > 5
    assert exported == {family.name for family in router_families()}


def test_placeholders_of_prometheus_are_made_readable() -> None:
    page = metrics_reference()
    assert "Requests of {namespace}/{name} pile up" in page
    assert "{{" not in page
