"""Metrics of GemmaDeployments follow their status, and go with the object."""

from gemma_operator.controller.fleet_metrics import FleetCollector
from prometheus_client import CollectorRegistry, generate_latest

CHAT = {
    "metadata": {"namespace": "a", "name": "chat"},
    "status": {"phase": "Ready", "reason": "Serving", "replicas": 2, "readyReplicas": 1, "costPerHour": "1.42"},
}
NEW = {"metadata": {"namespace": "a", "name": "new"}}


def test_each_deployment_has_its_phase_its_replicas_and_its_price():
    registry = CollectorRegistry()
    registry.register(FleetCollector([CHAT, NEW], leads=lambda: True))

    def value(metric: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"gemma_operator_deployment_{metric}", labels)

    chat, new = {"namespace": "a", "name": "chat"}, {"namespace": "a", "name": "new"}
    assert value("phase", **chat, phase="Ready", reason="Serving") == 1
    assert value("phase", **new, phase="Pending", reason="") == 1
    assert value("replicas", **chat, state="existing") == 2
    assert value("replicas", **chat, state="ready") == 1
    assert value("replicas", **new, state="ready") == 0
    assert value("cost_per_hour", **chat) == 1.42
    assert value("cost_per_hour", **new) is None


def test_nothing_is_left_of_one_that_is_gone():
    deployments = [CHAT]
    registry = CollectorRegistry()
    registry.register(FleetCollector(deployments, leads=lambda: True))
    assert b'name="chat"' in generate_latest(registry)
    deployments.clear()
    assert b'name="chat"' not in generate_latest(registry)


def test_one_that_stands_by_tells_nothing_of_the_fleet():
    registry = CollectorRegistry()
    registry.register(FleetCollector([CHAT], leads=lambda: False))
    assert b'name="chat"' not in generate_latest(registry)
