"""The chart, rendered by Helm: valid, restricted, no verb too many, values checked before anything is installed."""

import base64
from collections.abc import Sequence
from typing import Any

import kubernetes_validate
import pytest
import yaml
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cli.images import OPERATOR_IMAGE
from gemma_operator.cluster.resources import EXPOSING, GEMMA_DEPLOYMENTS, OWNED, QUOTAS
from kubernetes_validate.utils import all_versions
from packaging.version import Version
from release.version import CHANGELOG, sections

from tests import helm
from tests.helm import ROOT, STACK, Object, named, of_kind, pod_template
from tests.unit.render.pod_security import violations

E2E_VALUES = ROOT / "tests" / "e2e" / "values.yaml"
VARIANTS: dict[str, Object] = {**helm.variants(STACK), "local": yaml.safe_load(E2E_VALUES.read_text())}
KUBERNETES = sorted(set(all_versions()), key=Version)[-4:]

# The first test builds helm where it is missing.
pytestmark = pytest.mark.timeout(900)


def render(values: Object | None = None) -> list[Object]:
    return helm.rendered(STACK, values)


def core(objects: Sequence[Object]) -> list[Object]:
    """Objects of APIs that every cluster has."""
    return [obj for obj in objects if not obj["apiVersion"].startswith("monitoring.coreos.com/")]


def test_lint_finds_nothing():
    done = helm.helm("lint", "--strict", STACK)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_valid_in_the_last_four_minors(variant):
    assert len({Version(version).minor for version in KUBERNETES}) == 4
    for obj in core(render(VARIANTS[variant])):
        for version in KUBERNETES:
            kubernetes_validate.validate(obj, version, strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_says_whose_it_is_and_where(variant):
    for obj in render(VARIANTS[variant]):
        labels = obj["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "gemma4-stack"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_pod_meets_pod_security_restricted(variant):
    objects = render(VARIANTS[variant])
    for template in (pod_template(objects), *of_kind(objects, "Pod")):
        assert violations(template) == []
        [container] = template["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"]["memory"]


def test_two_operators_on_two_nodes_share_one_lease():
    objects = render()
    [deployment] = of_kind(objects, "Deployment")
    spec = deployment["spec"]
    assert spec["replicas"] == 2
    template = spec["template"]["spec"]
    assert "--lease=gemma-operator" in template["containers"][0]["args"]
    [term] = template["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"]
    [budget] = of_kind(objects, "PodDisruptionBudget")
    assert budget["spec"] == {"maxUnavailable": 1, "selector": spec["selector"]}
    role = named(objects, "Role", "gemma-operator")
    assert role["rules"] == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["gemma-operator"],
            "verbs": ["get", "update"],
        },
    ]


def test_a_given_affinity_is_the_only_one():
    affinity: dict[str, object] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    }
    assert pod_template(render({"affinity": affinity}))["spec"]["affinity"] == affinity


def test_the_operator_may_do_what_it_does_and_no_more():
    role = named(objects := render(), "ClusterRole", "gemma-operator")
    granted = _verbs(role)
    for resource in OWNED:
        assert {"get", "list", "watch", "create", "patch", "delete"} <= granted[resource.group, resource.plural]
    for resource in (GEMMA_DEPLOYMENTS, QUOTAS):
        assert granted[resource.group, resource.plural] == {"list", "watch"}
    nodes = _verbs(named(objects, "ClusterRole", "gemma-system-gemma-operator-nodes"))
    assert nodes == {("", "nodes"): {"list", "watch"}, ("", "pods"): {"list", "watch"}}
    assert granted["", "pods"] == {"list", "watch", "patch"}
    assert granted["", "secrets"] == {"create"}
    assert granted["", "pods/log"] == {"get"}
    assert granted["gemma4stack.dev", "gemmadeployments/status"] == {"update"}
    assert ("", "pods/exec") not in granted
    [binding] = [rule for rule in role["rules"] if "bind" in rule["verbs"]]
    assert binding["resourceNames"] == ["gemma-router"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_role_has_a_wildcard(variant):
    objects = render(VARIANTS[variant])
    for role in (*of_kind(objects, "ClusterRole"), *of_kind(objects, "Role")):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], role["metadata"]["name"]
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["create"], role["metadata"]["name"]


def test_the_router_only_reads():
    role = named(render(), "ClusterRole", "gemma-router")
    assert _verbs(role) == {
        ("discovery.k8s.io", "endpointslices"): {"list", "watch"},
        ("", "configmaps"): {"list", "watch"},
    }


@pytest.mark.parametrize(
    ("crds", "kept"), [({}, True), ({"enabled": False, "keep": False}, True), ({"keep": False}, False)]
)
@pytest.mark.parametrize(("kind", "namespaces"), [("ClusterRole", []), ("Role", ["team-a"])])
def test_the_role_of_routers_stays_as_long_as_gemma_deployments_may(kind, namespaces, crds, kept):
    role = named(render({"watchNamespaces": namespaces, "crds": crds}), kind, "gemma-router")
    assert ("helm.sh/resource-policy" in role["metadata"].get("annotations", {})) is kept


def test_the_role_of_routers_follows_the_configuration():
    objects = render({"config": {"router": {"role": "other-router"}}})
    assert named(objects, "ClusterRole", "other-router")
    [rule] = [r for r in named(objects, "ClusterRole", "gemma-operator")["rules"] if "bind" in r["verbs"]]
    assert rule["resourceNames"] == ["other-router"]


def test_what_exposes_routers_may_be_written_where_it_is_configured():
    granted = _verbs(named(render(VARIANTS["exposed"]), "ClusterRole", "gemma-operator"))
    for resource in EXPOSING:
        assert granted[resource.group, resource.plural] == {"get", "list", "watch", "create", "patch"}
        assert (resource.group, resource.plural) not in _verbs(named(render(), "ClusterRole", "gemma-operator"))
    only = _verbs(
        named(
            render({"config": {"router": {"ingress": {"hosts": ["{namespace}.example.com"]}}}}),
            "ClusterRole",
            "gemma-operator",
        )
    )
    assert ("networking.k8s.io", "ingresses") in only
    assert ("gateway.networking.k8s.io", "httproutes") not in only


def test_users_of_the_cluster_reach_gemma_deployments():
    objects = render()
    view, edit = (named(objects, "ClusterRole", f"gemma-operator-{name}") for name in ("view", "edit"))
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert "rbac.authorization.k8s.io/aggregate-to-view" not in edit["metadata"]["labels"]
    assert "delete" not in _verbs(view)["gemma4stack.dev", "gemmadeployments"]
    assert {"create", "patch", "delete"} <= _verbs(edit)["gemma4stack.dev", "gemmadeployments"]
    for role in (view, edit):
        assert role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"] == "true"
        assert role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    closed = of_kind(render({"rbac": {"aggregateClusterRoles": False}}), "ClusterRole")
    assert {role["metadata"]["name"] for role in closed} == {
        "gemma-operator",
        "gemma-system-gemma-operator-nodes",
        "gemma-router",
    }


def test_the_crd_is_that_of_the_sources_and_is_kept():
    [crd] = of_kind(render(), "CustomResourceDefinition")
    source = yaml.safe_load((ROOT / "crds" / "gemmadeployments.yaml").read_text())
    assert crd["spec"] == source["spec"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    [unkept] = of_kind(render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert not unkept["metadata"]["annotations"]
    assert of_kind(render({"crds": {"enabled": False}}), "CustomResourceDefinition") == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_operator_reads_the_configuration_that_was_given(variant):
    values = VARIANTS[variant]
    objects = render(values)
    config = named(objects, "ConfigMap", "gemma-operator-config")["data"]["config.yaml"]
    registry = {"imageRegistry": values["global"]["imageRegistry"]} if "global" in values else {}
    followed: Object = {"namespaces": values["watchNamespaces"]} if "watchNamespaces" in values else {}
    if values.get("rbac", {}).get("nodes") is False:
        followed["inventory"] = {"source": "static", **values["config"].get("inventory", {})}
    given = OperatorConfig.model_validate({**registry, **values.get("config", {}), **followed})
    assert OperatorConfig.model_validate(yaml.safe_load(config)) == given
    [container] = pod_template(objects)["spec"]["containers"]
    assert "--config=/etc/gemma-operator/config.yaml" in container["args"]


def test_a_changed_configuration_restarts_the_operator():
    sums = {_checksum(render(values)) for values in (None, {"config": {"workers": 3}})}
    assert len(sums) == 2


def test_images_can_be_pinned_and_mirrored():
    assert _image(render()) == OPERATOR_IMAGE
    mirrored = "registry.example.com/mirror/gemma4-stack/gemma-operator@sha256:" + "0" * 64
    assert _image(render(VARIANTS["airgapped"])) == mirrored
    assert _image(render(VARIANTS["local"])) == "local/gemma-operator:dev"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"replicaCount": 2}, "replicaCount"),
        ({"config": {"worker": 2}}, "worker"),
        ({"config": {"engine": {"version": "latest"}}}, "version"),
        ({"config": {"router": {"replicas": 0}}}, "replicas"),
        ({"image": {"digest": "abc"}}, "digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"imageRegistry": "mirror.example"}, "imageRegistry"),
        ({"config": {"router": {"ingress": {"hosts": []}}}}, "hosts"),
        ({"config": {"router": {"ingress": {"hosts": ["{name}.example.com"]}}}}, "hosts"),
        ({"config": {"router": {"httpRoute": {"hosts": ["{namespace}.example.com"]}}}}, "parentRefs"),
        ({"watchNamespaces": ["team-*"]}, "watchNamespaces"),
        ({"watchNamespaces": ["a", "a"]}, "watchNamespaces"),
        ({"rbac": {"nodes": "no"}}, "nodes"),
        ({"config": {"inventory": {"nodes": [{"accelerator": "l4", "gpusPerNode": 8, "nodes": 1}]}}}, "labels"),
        ({"global": {"imageRegistry": "https://mirror.example"}}, "imageRegistry"),
        ({"config": {"engine": {"proxy": {"https": "proxy.example"}}}}, "https"),
        ({"config": {"engine": {"caBundle": {}}}}, "configMap"),
        ({"extraEnv": [{"value": "x"}]}, "name"),
        ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
        ({"networkPolicy": {"egress": {"apiServerCidrs": ["10.0.0.1"]}}}, "apiServerCidrs"),
        ({"nameOverride": "Foo"}, "nameOverride"),
        ({"fullnameOverride": "Foo_Bar"}, "fullnameOverride"),
        ({"serviceAccount": {"name": "a b"}}, "serviceAccount/name"),
        ({"priorityClassName": "A"}, "priorityClassName"),
        ({"image": {"registry": "https://mirror.example"}}, "image/registry"),
        ({"image": {"repository": "Team/operator"}}, "repository"),
        ({"image": {"tag": "1 2"}}, "tag"),
        ({"imagePullSecrets": [{"name": "A_B"}]}, "imagePullSecrets/0/name"),
        ({"config": {"router": {"role": "X Y"}}}, "role"),
        ({"config": {"monitoringNamespace": "Bad_NS"}}, "monitoringNamespace"),
        ({"config": {"accelerators": [{"name": "x", "fields": {"memroy": "24 GiB"}}]}}, "memroy"),
    ],
)
def test_wrong_values_are_refused_by_name(values, says):
    assert says in helm.refusal(STACK, values)


def test_what_artifact_hub_shows_is_so():
    chart = yaml.safe_load((STACK / "Chart.yaml").read_text())
    shown = {name.partition("/")[2]: value for name, value in chart["annotations"].items()}
    [crd], [definition] = yaml.safe_load(shown["crds"]), of_kind(render(), "CustomResourceDefinition")
    assert crd["name"] == definition["metadata"]["name"]
    assert crd["kind"] == definition["spec"]["names"]["kind"]
    assert crd["version"] == definition["spec"]["versions"][0]["name"]
    [image] = yaml.safe_load(shown["images"])
    assert image["image"] == _image(render())
    for example in yaml.safe_load(shown["crdsExamples"]):
        assert example["apiVersion"] == f"{definition['spec']['group']}/{crd['version']}"
        assert example["kind"] == crd["kind"]
        GemmaDeploymentSpec.model_validate(example.get("spec", {}))


@pytest.mark.parametrize("folder", [STACK, helm.MODELS], ids=lambda folder: folder.name)
def test_both_charts_have_the_icon(folder):
    icon = yaml.safe_load((folder / "Chart.yaml").read_text())["icon"]
    head, _, data = icon.partition(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (STACK / "icon.svg").read_bytes()


def test_artifact_hub_shows_what_the_changelog_says_of_this_version():
    changes = yaml.safe_load((STACK / "Chart.yaml").read_text())["annotations"]["artifacthub.io/changes"]
    newest = " ".join(next(sections(CHANGELOG.read_text())).text.split())
    for change in yaml.safe_load(changes):
        assert change["kind"] in ("added", "changed", "deprecated", "removed", "fixed", "security")
        assert change["description"] in newest


def test_names_follow_the_release():
    [deployment] = of_kind(helm.rendered(STACK, None, release="second"), "Deployment")
    assert deployment["metadata"]["name"] == "second-gemma-operator"


def _verbs(role: Object) -> dict[tuple[str, str], set[str]]:
    granted: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault((group, resource), set()).update(rule["verbs"])
    return granted


def _checksum(objects: Sequence[Object]) -> Any:
    return pod_template(objects)["metadata"]["annotations"]["checksum/config"]


def _image(objects: Sequence[Object]) -> Any:
    return pod_template(objects)["spec"]["containers"][0]["image"]
