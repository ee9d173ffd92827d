"""The examples in a real API server, and the values for the chart in the chart."""

from pathlib import Path

import pytest
import yaml

from tests import helm
from tests.kubectl import Kubectl, Object, includes
from tests.unit.examples.golden import EXAMPLES, fleets

# The first test starts the control plane, or builds helm where it is missing.
pytestmark = pytest.mark.timeout(900)


def documents(path: Path) -> list[Object]:
    """The objects of an example."""
    return [obj for obj in yaml.safe_load_all(path.read_text(encoding="utf-8")) if obj]


@pytest.mark.parametrize("example", fleets())
def test_the_api_server_accepts_the_example(kubectl: Kubectl, namespace: str, example: str) -> None:
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES / example))
    for obj in documents(EXAMPLES / example):
        stored = kubectl.get(obj["kind"], obj["metadata"]["name"], namespace=namespace)
        assert includes(stored["spec"], obj["spec"]), stored


def test_the_air_gapped_fleet_has_the_configuration_that_the_values_make() -> None:
    values = yaml.safe_load((EXAMPLES / "air-gapped-values.yaml").read_text(encoding="utf-8"))
    objects = helm.rendered(helm.STACK, values)
    [config] = [
        obj["data"]["config.yaml"] for obj in helm.of_kind(objects, "ConfigMap") if "config.yaml" in obj["data"]
    ]
    fleet = yaml.safe_load((EXAMPLES / "fleet-air-gapped.yaml").read_text(encoding="utf-8"))
    assert yaml.safe_load(config) == fleet["config"]
    pod = helm.pod_template(objects)["spec"]
    assert pod["containers"][0]["image"].startswith("registry.example.com/gemma/")
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
