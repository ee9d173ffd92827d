"""What the values of the chart do, and what it says about those that cannot work."""

import json

import pytest
import yaml
from gemma_operator.api.config import OperatorConfig

from tests import helm
from tests.helm import STACK, Object, named, of_kind, pod_template
from tests.unit.render import builders

VARIANTS = helm.variants(STACK)

# The first test builds helm where it is missing.
pytestmark = pytest.mark.timeout(900)


def render(values: Object | None = None) -> list[Object]:
    return helm.rendered(STACK, values)


@pytest.fixture(scope="module")
def everything() -> list[Object]:
    return render(VARIANTS["everything"])


def test_a_variable_of_the_chart_or_given_twice_stands_there_once(everything):
    [container] = pod_template(everything)["spec"]["containers"]
    names = [variable["name"] for variable in container["env"]]
    assert sorted(names) == ["POD_NAME", "POD_NAMESPACE", "TZ"]
    values = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert values == {"POD_NAME": "operator", "POD_NAMESPACE": None, "TZ": "UTC"}


def test_given_labels_do_not_change_what_is_selected_by(everything):
    [deployment] = of_kind(everything, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["sidecar.istio.io/inject"] == "false"
    # By this label NetworkPolicies of engines and routers know the operator.
    assert labels["app.kubernetes.io/part-of"] == "gemma4-stack"
    assert deployment["metadata"]["labels"]["example.com/tier"] == "platform"
    assert deployment["metadata"]["labels"]["team"] == "ml"
    assert deployment["metadata"]["labels"]["app.kubernetes.io/name"] == "gemma"
    assert deployment["metadata"]["annotations"] == {"example.com/note": "text"}


def test_spread_constraints_count_the_operator(everything):
    [constraint] = pod_template(everything)["spec"]["topologySpreadConstraints"]
    selector = of_kind(everything, "Deployment")[0]["spec"]["selector"]
    assert constraint["labelSelector"] == selector
    own = {"maxSkew": 1, "labelSelector": {"matchLabels": {"a": "b"}}}
    [kept] = pod_template(render({"topologySpreadConstraints": [own]}))["spec"]["topologySpreadConstraints"]
    assert kept["labelSelector"]["matchLabels"]["a"] == "b"


def test_the_pod_gets_what_is_given(everything):
    pod = pod_template(everything)["spec"]
    given = VARIANTS["everything"]
    for field in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets"):
        assert pod[field] == given[field]
    assert given["extraVolumes"][0] in pod["volumes"]
    [container] = pod["containers"]
    assert given["extraVolumeMounts"][0] in container["volumeMounts"]
    assert container["resources"] == given["resources"]
    assert container["args"][2:] == given["extraArgs"]
    account = named(everything, "ServiceAccount", "gemma")
    assert account["metadata"]["annotations"] == given["serviceAccount"]["annotations"]
    assert pod["serviceAccountName"] == "gemma"


def test_pull_secrets_of_all_charts_are_added(everything):
    both = render({"global": {"imagePullSecrets": [{"name": "a"}]}, "imagePullSecrets": [{"name": "b"}, {"name": "a"}]})
    for spec in (pod_template(both)["spec"], of_kind(both, "Pod")[0]["spec"]):
        assert spec["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert "imagePullSecrets" not in pod_template(render())["spec"]


def test_extra_objects_are_templates(everything):
    assert named(everything, "ConfigMap", "gemma-extra")["data"] == {"namespace": "gemma-system"}
    assert named(everything, "ConfigMap", "gemma-text")["metadata"]["labels"]["team"] == "ml"


def test_a_registry_in_the_configuration_beats_that_of_all_charts():
    values = {"global": {"imageRegistry": "a.example"}, "config": {"imageRegistry": "b.example"}}
    config = named(render(values), "ConfigMap", "gemma-operator-config")["data"]["config.yaml"]
    assert "imageRegistry: b.example" in config


def test_annotations_of_the_pod_do_not_hide_a_changed_configuration():
    given = {"podAnnotations": {"checksum/config": "mine", "a": "b"}}
    annotations = pod_template(render(given))["metadata"]["annotations"]
    assert annotations["a"] == "b"
    assert annotations["checksum/config"] == pod_template(render())["metadata"]["annotations"]["checksum/config"]
    text = helm.helm("template", "gemma", STACK, "--values", "-", stdin=json.dumps(given)).stdout
    assert text.count("checksum/config:") == 1, "a key that stands there twice is refused by strict readers"


def test_the_chart_can_be_a_part_of_another():
    assert render({"global": {"somebody": {"elses": 1}}, "enabled": True}) == render()


class TestNetworkPolicy:
    def test_none_unless_asked_for(self):
        assert of_kind(render(), "NetworkPolicy") == []

    @pytest.mark.parametrize("variant", ["locked-down", "everything"])
    def test_it_selects_the_operator_and_nothing_else(self, variant):
        objects = render(VARIANTS[variant])
        [policy] = of_kind(objects, "NetworkPolicy")
        selected = policy["spec"]["podSelector"]["matchLabels"].items()
        assert selected <= pod_template(objects)["metadata"]["labels"].items()
        assert not selected <= of_kind(objects, "Pod")[0]["metadata"]["labels"].items()

    def test_metrics_are_read_from_monitoring_and_from_the_own_namespace(self):
        [policy] = of_kind(render(VARIANTS["locked-down"]), "NetworkPolicy")
        [rule] = policy["spec"]["ingress"]
        assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]
        assert rule["from"] == [
            {"podSelector": {}},
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
        ]

    def test_given_readers_are_the_only_ones_beside_the_charts_own_test(self):
        objects = render(VARIANTS["everything"])
        [policy] = of_kind(objects, "NetworkPolicy")
        *given, test = policy["spec"]["ingress"][0]["from"]
        assert given == VARIANTS["everything"]["networkPolicy"]["metricsFrom"]
        assert test.keys() == {"podSelector"}, "of the release's namespace"
        admitted = test["podSelector"]["matchLabels"].items()
        [pod] = of_kind(objects, "Pod")
        assert admitted <= pod["metadata"]["labels"].items()
        assert not admitted <= pod_template(objects)["metadata"]["labels"].items()
        assert policy["spec"]["policyTypes"] == ["Ingress"]

    def test_egress_reaches_what_the_operator_talks_to(self):
        [policy] = of_kind(render(VARIANTS["locked-down"]), "NetworkPolicy")
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        dns, server, engines, routers = policy["spec"]["egress"]
        assert {port["port"] for port in dns["ports"]} == {53}
        assert [peer["ipBlock"]["cidr"] for peer in server["to"]] == ["10.96.0.1/32", "192.0.2.10/32"]
        assert {port["port"] for port in server["ports"]} == {443, 6443}
        for rule, objects in ((engines, builders.engine_objects()), (routers, builders.router_objects())):
            [peer] = rule["to"]
            template = builders.of_kind(objects, "Deployment")["spec"]["template"]
            assert peer["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
            ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
            assert {port["port"] for port in rule["ports"]} <= ports


NODES: Object = {"accelerator": "l4", "gpusPerNode": 8, "nodes": 1, "labels": {"gpu": "l4"}}


class TestNamespaces:
    """`watchNamespaces`: what the operator may do ends there."""

    def test_a_role_in_each_of_them_and_no_cluster_role_for_what_it_serves(self):
        everywhere, some = render(), render({"watchNamespaces": ["team-a", "team-b"]})
        roles = {role["metadata"]["name"]: role for role in of_kind(everywhere, "ClusterRole")}
        kept = {role["metadata"]["name"] for role in of_kind(some, "ClusterRole")}
        assert set(roles) - kept == {"gemma-operator", "gemma-router"}
        for namespace in ("team-a", "team-b"):
            here = [obj for obj in some if obj["metadata"].get("namespace") == namespace]
            watched, router = named(here, "Role", "gemma-operator-watched"), named(here, "Role", "gemma-router")
            assert router["rules"] == roles["gemma-router"]["rules"]
            *served, bind = watched["rules"]
            assert served == roles["gemma-operator"]["rules"][:-1]
            assert (bind["resources"], bind["resourceNames"]) == (["roles"], ["gemma-router"])
            [binding] = of_kind(here, "RoleBinding")
            assert binding["roleRef"]["name"] == "gemma-operator-watched"
            assert binding["subjects"] == [
                {"kind": "ServiceAccount", "name": "gemma-operator", "namespace": "gemma-system"}
            ]

    def test_nothing_outside_of_namespaces_is_needed(self):
        objects = render(VARIANTS["namespaced"])
        assert {obj["metadata"].get("namespace") for obj in objects} == {"team-a", "team-b", "gemma-system"}

    def test_the_lease_stays_where_the_operator_runs_when_it_serves_that_namespace_too(self):
        objects = render({"watchNamespaces": ["gemma-system"]})
        names = [(obj["kind"], obj["metadata"]["name"]) for obj in objects]
        assert len(names) == len(set(names))
        assert named(objects, "Role", "gemma-operator")["rules"][0]["resources"] == ["leases"]

    def test_without_the_nodes_the_operator_is_told_so(self):
        objects = render(VARIANTS["namespaced"])
        config = yaml.safe_load(named(objects, "ConfigMap", "gemma-operator-config")["data"]["config.yaml"])
        assert config["namespaces"] == ["team-a", "team-b"]
        assert config["inventory"]["source"] == "static"
        assert not OperatorConfig.model_validate(config).reads_nodes
        assert "inventory" not in named(render(), "ConfigMap", "gemma-operator-config")["data"]["config.yaml"]

    def test_monitors_look_there_alone(self):
        monitors = of_kind(render(VARIANTS["monitoring"]), "PodMonitor")
        selectors = [monitor["spec"].get("namespaceSelector") for monitor in monitors]
        assert {"matchNames": ["team-a", "team-b"]} in selectors

    def test_one_namespace_may_have_a_host_of_its_own(self):
        router: Object = {"ingress": {"hosts": ["llm.example.com"]}}
        assert render({"watchNamespaces": ["team-a"], "config": {"router": router}})
        two = {"watchNamespaces": ["team-a", "team-b"], "config": {"router": router}}
        assert "would be the host of every namespace" in helm.refusal(STACK, two)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"serviceAccount": {"create": False}}, "Name the ServiceAccount that the operator shall use"),
        (
            {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}},
            "set metrics.service.enabled to true",
        ),
        ({"networkPolicy": {"egress": {"enabled": True}}}, "set both to true"),
        (
            {"crds": {"keep": False, "annotations": {"helm.sh/resource-policy": "keep"}}},
            "set crds.keep to true and remove the annotation",
        ),
        ({"config": {"namespaces": ["a"]}}, "name the namespaces in watchNamespaces"),
        ({"config": {"inventory": {"source": "static"}}}, "set rbac.nodes to false"),
        ({"config": {"inventory": {"nodes": [NODES]}}}, "set rbac.nodes to false, or remove the list"),
        ({"rbac": {"nodes": False}}, "describe them in config.inventory.nodes"),
        ({"config": {"router": {"ingress": {"hosts": ["a.example.com"]}}}}, "put {namespace} into it"),
        ({"extraArgs": ["--config=/x"]}, "write it into the value `config`"),
        ({"extraArgs": ["--port=1"]}, "metrics.service.port"),
        ({"extraArgs": ["--lease=x"]}, "names the Lease itself"),
        ({"extraVolumes": [{"name": "tmp"}]}, "give it another name"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(values, says):
    assert says in helm.refusal(STACK, values)
