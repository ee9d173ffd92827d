"""Metrics of each GemmaDeployment, made from its status when somebody asks: no series outlives its object."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gemma_operator.cluster.resources import Object


class FleetCollector(Collector):
    """Phase, replicas and price of every GemmaDeployment of a cache."""

    def __init__(self, deployments: Iterable[Object], *, leads: Callable[[], bool]) -> None:
        """`leads`: whether this process works; of several operators only that one tells of the fleet."""
        self._deployments = deployments
        self._leads = leads

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The families without samples."""
        yield from _families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families with a sample per GemmaDeployment."""
        phases, replicas, prices = _families()
        for obj in self._deployments if self._leads() else ():
            key = [obj["metadata"]["namespace"], obj["metadata"]["name"]]
            status = obj.get("status") or {}
            phases.add_metric([*key, status.get("phase") or "Pending", status.get("reason") or ""], 1)
            for state, field in (("existing", "replicas"), ("ready", "readyReplicas")):
                replicas.add_metric([*key, state], status.get(field) or 0)
            if (price := status.get("costPerHour")) is not None:
                prices.add_metric(key, float(price))
        yield from (phases, replicas, prices)


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    key = ["namespace", "name"]
    return (
        GaugeMetricFamily(
            "gemma_operator_deployment_phase",
            "1 for the present phase and its reason.",
            labels=[*key, "phase", "reason"],
        ),
        GaugeMetricFamily("gemma_operator_deployment_replicas", "Replicas by state.", labels=[*key, "state"]),
        GaugeMetricFamily(
            "gemma_operator_deployment_cost_per_hour",
            "US dollars for the wanted replicas, where known.",
            labels=key,
        ),
    )
