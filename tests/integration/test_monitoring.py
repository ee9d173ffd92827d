"""What the chart brings for Prometheus and Grafana: rules that fire, monitors that find their pods, live metrics."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from localk8s import binaries
from localk8s.controlplane import ControlPlane

from tests import helm
from tests.helm import STACK, Object, named, of_kind
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, eventually, gemma
from tests.unit.monitoring import exported
from tests.unit.monitoring.queries import QUERIES, plain
from tests.unit.render import builders

VALUES = helm.variants(STACK)["monitoring"]
TESTS = Path(__file__).with_name("alerts.yaml")

# The first test builds helm and promtool where they are missing.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    return helm.rendered(STACK, VALUES)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binaries.path("promtool"), *arguments], capture_output=True, text=True)


@pytest.fixture
def rules(objects: list[Object], tmp_path: Path) -> Path:
    """The rules as the chart renders them."""
    [rule] = of_kind(objects, "PrometheusRule")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    return file


class TestRules:
    def test_they_fire_when_they_should_and_only_then(self, rules):
        tests = rules.with_name("alerts.yaml")
        tests.write_text(TESTS.read_text())
        done = promtool("test", "rules", tests)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_each_is_tested_both_ways(self, rules):
        written = {rule["alert"] for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]}
        cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
        assert {case["alertname"] for case in cases if case["exp_alerts"]} == written
        assert {case["alertname"] for case in cases if not case["exp_alerts"]} == written

    def test_prometheus_reads_every_query(self, tmp_path):
        recorded = [
            {"record": f"query:{number}", "expr": plain(query)} for number, query in enumerate(QUERIES.values())
        ]
        file = tmp_path / "queries.yaml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
        done = promtool("check", "rules", file)
        assert done.returncode == 0, done.stdout + done.stderr


class TestMonitors:
    def test_none_unless_asked_for(self):
        kinds = {obj["kind"] for obj in helm.rendered(STACK, {})}
        assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
        assert [obj for obj in helm.rendered(STACK, {}) if "dashboard" in obj["metadata"]["name"]] == []

    @pytest.mark.parametrize(
        ("name", "pod"),
        [
            ("gemma-operator", helm.pod_template),
            (
                "gemma-operator-routers",
                lambda _: builders.of_kind(builders.router_objects(), "Deployment")["spec"]["template"],
            ),
            (
                "gemma-operator-engines",
                lambda _: builders.of_kind(builders.engine_objects(), "Deployment")["spec"]["template"],
            ),
        ],
    )
    def test_each_finds_its_pods_and_no_others(self, objects, name, pod):
        monitor, template = named(objects, "PodMonitor", name), pod(objects)
        selected = monitor["spec"]["selector"]["matchLabels"].items()
        assert selected <= template["metadata"]["labels"].items()
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        assert endpoint["interval"] == "15s"
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        others = [each for each in of_kind(objects, "PodMonitor") if each is not monitor]
        assert not any(
            each["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items() for each in others
        )

    def test_they_look_where_the_operator_does(self, objects):
        routers = named(objects, "PodMonitor", "gemma-operator-routers")
        assert routers["spec"]["namespaceSelector"] == {"matchNames": ["team-a", "team-b"]}
        everywhere = helm.rendered(STACK, {"metrics": {"podMonitors": {"enabled": True}}})
        assert named(everywhere, "PodMonitor", "gemma-operator-engines")["spec"]["namespaceSelector"] == {"any": True}

    def test_the_operator_is_read_once(self):
        both = {"metrics": {"podMonitors": {"enabled": True}, "serviceMonitor": {"enabled": True}}}
        found = helm.rendered(STACK, both)
        assert {obj["metadata"]["name"] for obj in of_kind(found, "PodMonitor")} == {
            "gemma-operator-routers",
            "gemma-operator-engines",
        }
        [endpoint] = of_kind(found, "ServiceMonitor")[0]["spec"]["endpoints"]
        assert endpoint["honorLabels"] is True

    def test_the_namespace_of_a_deployment_is_not_that_of_the_operator(self, objects):
        """A label of the target would replace it, and every alert would name the wrong namespace."""
        [endpoint] = named(objects, "PodMonitor", "gemma-operator")["spec"]["podMetricsEndpoints"]
        assert endpoint["honorLabels"] is True


@pytest.mark.parametrize("variant", ["monitoring", "everything"])
def test_the_prometheus_operators_own_definitions_know_every_field(
    kubectl: Kubectl, monitoring: None, variant: str
) -> None:
    rendered = helm.rendered(STACK, helm.variants(STACK)[variant])
    ours = [{**obj, "metadata": {**obj["metadata"], "namespace": "default"}} for obj in rendered if _is_monitoring(obj)]
    assert {obj["kind"] for obj in ours} == {
        "monitoring": {"PodMonitor", "PrometheusRule"},
        "everything": {"ServiceMonitor"},
    }[variant]
    for obj in ours:
        kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(obj))


def _is_monitoring(obj: Object) -> bool:
    return bool(obj["apiVersion"] == "monitoring.coreos.com/v1")


def test_dashboards_are_config_maps_that_grafana_can_load(objects):
    maps = [obj for obj in of_kind(objects, "ConfigMap") if "dashboard" in obj["metadata"]["name"]]
    assert len(maps) == 2
    for obj in maps:
        assert obj["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert obj["metadata"]["annotations"] == {"grafana_folder": "Gemma"}
        [(file, text)] = obj["data"].items()
        source = STACK / "files" / "dashboards" / f"{file.removeprefix('gemma4-')}"
        assert json.loads(text) == json.loads(source.read_text())


def test_the_operator_exports_the_deployments_that_it_knows(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    kubectl.apply(gemma("chat", {"model": "e2b"}), namespace=namespace)
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config={"namespaces": [namespace]}) as operator:
        ours = f'namespace="{namespace}",'
        eventually(
            lambda: [
                line
                for line in operator.get("/metrics")[1].splitlines()
                if line.startswith("gemma_operator_deployment_phase{") and ours in line
            ],
            until=lambda lines: len(lines) == 1 and 'name="chat"' in lines[0] and 'reason=""' not in lines[0],
            seconds=60,
            what="the phase of the deployment is exported with its reason",
        )
        # A price needs a plan, and this cluster has no GPUs.
        wanted = {name for name in exported.operator() if name.startswith("gemma_operator_deployment")}
        eventually(
            lambda: {line.split("{")[0] for line in operator.get("/metrics")[1].splitlines()},
            until=lambda names: wanted - names <= {"gemma_operator_deployment_cost_per_hour"},
            seconds=30,
            what="everything about deployments is exported",
        )
