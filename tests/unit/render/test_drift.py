"""Drift is what an apply would change: no more (0 writes on a converged cluster) and no less (edits are healed)."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from gemma_operator.render.drift import first_drift
from gemma_operator.render.types import Object
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.render.builders import CHAT, engine_objects, of_kind, router_objects

Change = Callable[[Object], object]

ENGINE = engine_objects(weights={"cache": {"size": "200Gi"}}, pod={"nodeSelector": {"zone": "a"}})
ALL = [*ENGINE, *router_objects()]
DEPLOYMENT = of_kind(ENGINE, "Deployment")


def served(manifest: Object) -> Object:
    """The object as an API server shows it once it was applied."""
    live = deepcopy(manifest)
    live["metadata"].update(
        uid="u", resourceVersion="1", generation=1, creationTimestamp="2026-11-25T00:00:00Z", managedFields=[{}]
    )
    match live["kind"]:
        case "Deployment":
            live["spec"].setdefault("replicas", 3)
            live["status"] = {"replicas": 3}
            pod = live["spec"]["template"]["spec"]
            pod.update(restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
            pod.setdefault("serviceAccount", pod.get("serviceAccountName", ""))
            (container,) = pod["containers"]
            container["terminationMessagePath"] = "/dev/termination-log"
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                container[probe]["successThreshold"] = 1
                if "httpGet" in container[probe]:
                    container[probe]["httpGet"]["scheme"] = "HTTP"
            for volume in pod["volumes"]:
                for source in ("configMap", "secret"):
                    if source in volume:
                        volume[source]["defaultMode"] = 420
            for entry in container["env"]:
                if "fieldRef" in entry.get("valueFrom", {}):
                    entry["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
        case "Service":
            live["spec"].update(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"], sessionAffinity="None")
        case "PersistentVolumeClaim":
            live["spec"].update(volumeMode="Filesystem", volumeName="pv-1")
    return live


def pod_of(item: Object) -> Object:
    """The pod spec of a Deployment, to be changed."""
    spec: Object = item["spec"]["template"]["spec"]
    return spec


def engine_of(item: Object) -> Object:
    """The container of a Deployment, to be changed."""
    container: Object = pod_of(item)["containers"][-1]
    return container


@pytest.mark.parametrize("manifest", ALL, ids=lambda item: f"{item['kind']}/{item['metadata']['name']}")
def test_what_was_applied_is_no_drift(manifest: Object) -> None:
    assert first_drift(applied=manifest, live=served(manifest)) is None


@pytest.mark.parametrize("manifest", ALL, ids=lambda item: f"{item['kind']}/{item['metadata']['name']}")
def test_no_comparison_changes_its_arguments(manifest: Object) -> None:
    live = served(manifest)
    before = deepcopy((manifest, live))
    first_drift(applied=manifest, live=live)
    assert (manifest, live) == before


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything that is not a container of other things."""
    match value:
        case dict():
            return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
        case list():
            return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, (*path, index))]
        case _:
            return [path]


LEAVES = [(index, path) for index, item in enumerate(ALL) for path in leaves(item)]


@given(st.sampled_from(LEAVES))
def test_every_applied_field_is_guarded(leaf: tuple[int, tuple[Any, ...]]) -> None:
    index, path = leaf
    live = served(ALL[index])
    parent: Any = live
    for step in path[:-1]:
        parent = parent[step]
    value = parent[path[-1]]
    parent[path[-1]] = (not value) if isinstance(value, bool) else value + (1 if isinstance(value, int) else "x")
    assert first_drift(applied=ALL[index], live=live) is not None
    if isinstance(parent, list) or value:
        del parent[path[-1]]
        assert first_drift(applied=ALL[index], live=live) is not None


OF_OTHERS: dict[str, Change] = {
    "kubectl rollout restart": lambda item: item["spec"]["template"]["metadata"]["annotations"].update(
        {"kubectl.kubernetes.io/restartedAt": "2026-11-25T00:00:00Z"}
    ),
    "revision": lambda item: item["metadata"]["annotations"].update({"deployment.kubernetes.io/revision": "4"}),
    "label of a tool": lambda item: item["metadata"]["labels"].update({"argocd": "x"}),
    "replicas": lambda item: item["spec"].update(replicas=0),
    "paused": lambda item: item["spec"].update(paused=True),
    "sidecar": lambda item: pod_of(item)["containers"].insert(0, {"name": "mesh", "image": "mesh"}),
    "variable": lambda item: engine_of(item)["env"].insert(0, {"name": "EXTRA", "value": "1"}),
    "volume": lambda item: pod_of(item)["volumes"].insert(0, {"name": "extra", "emptyDir": {}}),
    "mount": lambda item: engine_of(item)["volumeMounts"].insert(0, {"name": "extra", "mountPath": "/extra"}),
    "port": lambda item: engine_of(item)["ports"].insert(0, {"name": "debug", "containerPort": 9}),
    "pull secret": lambda item: pod_of(item).update(imagePullSecrets=[{"name": "x"}]),
    "owner": lambda item: item["metadata"]["ownerReferences"].append({"kind": "App", "name": "x", "uid": "y"}),
    "order of containers' variables": lambda item: engine_of(item)["env"].reverse(),
    "order of volumes": lambda item: pod_of(item)["volumes"].reverse(),
}


@pytest.mark.parametrize("change", OF_OTHERS)
def test_fields_of_others_are_no_drift(change: str) -> None:
    live = served(DEPLOYMENT)
    OF_OTHERS[change](live)
    assert first_drift(applied=DEPLOYMENT, live=live) is None


CONTAINER = "spec.template.spec.containers[engine]"
EDITS: dict[str, Change] = {
    "metadata.labels[gemma4stack.dev/pool]": lambda item: item["metadata"]["labels"].pop("gemma4stack.dev/pool"),
    "metadata.annotations[gemma4stack.dev/checksum]": lambda item: item["metadata"].pop("annotations"),
    "metadata.ownerReferences[11111111-1111-4111-8111-111111111111]": lambda item: item["metadata"].pop(
        "ownerReferences"
    ),
    "spec.strategy.rollingUpdate.maxSurge": lambda item: item["spec"]["strategy"]["rollingUpdate"].update(
        maxSurge="25%"
    ),
    f"{CONTAINER}.image": lambda item: engine_of(item).update(image="other"),
    f"{CONTAINER}.args": lambda item: engine_of(item)["args"].append("--enforce-eager"),
    f"{CONTAINER}.args[2]": lambda item: engine_of(item)["args"].__setitem__(2, "--max-model-len=1"),
    f"{CONTAINER}.env[HOME].value": lambda item: engine_of(item)["env"][0].update(value="/root"),
    f"{CONTAINER}.env[HOME]": lambda item: engine_of(item)["env"].pop(0),
    f"{CONTAINER}.env[VLLM_API_KEY].valueFrom.secretKeyRef.optional": lambda item: next(
        entry for entry in engine_of(item)["env"] if entry["name"] == "VLLM_API_KEY"
    )["valueFrom"]["secretKeyRef"].update(optional=True),
    f"{CONTAINER}.resources.limits.memory": lambda item: engine_of(item)["resources"]["limits"].update(memory="9Gi"),
    f"{CONTAINER}.resources.limits.nvidia.com/gpu": lambda item: engine_of(item)["resources"]["limits"].update(
        {"nvidia.com/gpu": "2"}
    ),
    f"{CONTAINER}.securityContext.readOnlyRootFilesystem": lambda item: engine_of(item)["securityContext"].update(
        readOnlyRootFilesystem=False
    ),
    f"{CONTAINER}.volumeMounts[/tmp]": lambda item: engine_of(item).update(
        volumeMounts=engine_of(item)["volumeMounts"][:3]
    ),
    "spec.template.spec.enableServiceLinks": lambda item: pod_of(item).update(enableServiceLinks=True),
    "spec.template.spec.tolerations": lambda item: pod_of(item)["tolerations"].append({"operator": "Exists"}),
    "spec.template.spec.tolerations[0].tolerationSeconds": lambda item: pod_of(item)["tolerations"][0].update(
        tolerationSeconds=5
    ),
    "spec.template.spec.nodeSelector[disk]": lambda item: pod_of(item)["nodeSelector"].update(disk="ssd"),
    "spec.template.spec.topologySpreadConstraints[kubernetes.io/hostname/ScheduleAnyway].maxSkew": lambda item: pod_of(
        item
    )["topologySpreadConstraints"][0].update(maxSkew=3),
    "spec.template.spec.volumes[shm].emptyDir.sizeLimit": lambda item: pod_of(item)["volumes"][2]["emptyDir"].update(
        sizeLimit="64Mi"
    ),
    "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms": (
        lambda item: pod_of(item)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
            "nodeSelectorTerms"
        ].pop()
    ),
}


@pytest.mark.parametrize("path", EDITS)
def test_edits_are_named(path: str) -> None:
    live = served(DEPLOYMENT)
    EDITS[path](live)
    assert (first_drift(applied=DEPLOYMENT, live=live) or "").startswith(path)


class TestParts:
    """Parts that the API treats as one value: what others add there is drift, because an apply removes it."""

    def test_selector_of_a_service(self) -> None:
        service = of_kind(ENGINE, "Service")
        live = served(service)
        live["spec"]["selector"]["track"] = "canary"
        assert first_drift(applied=service, live=live) == "spec.selector.track"

    @pytest.mark.parametrize(
        "change",
        [
            lambda rules: rules.append({}),
            lambda rules: rules[0]["from"].append({"podSelector": {}}),
            lambda rules: rules[0]["from"][0]["podSelector"]["matchLabels"].clear(),
            lambda rules: rules[0]["from"][0].update(namespaceSelector={"matchLabels": {"a": "b"}}),
            lambda rules: rules[0]["from"][0]["podSelector"].update(matchLabels={}),
            lambda rules: rules[0].pop("from"),
            lambda rules: rules[0]["ports"][0].update(endPort=9000),
            lambda rules: rules[0].pop("ports"),
        ],
    )
    def test_rules_of_a_network_policy(self, change: Callable[[Any], object]) -> None:
        policy = of_kind(ENGINE, "NetworkPolicy")
        live = served(policy)
        change(live["spec"]["ingress"])
        assert (first_drift(applied=policy, live=live) or "").startswith("spec.ingress")

    def test_a_rule_that_was_open_is_narrowed(self) -> None:
        policy = of_kind(router_objects(), "NetworkPolicy")
        live = served(policy)
        live["spec"]["ingress"][0]["from"] = [{"podSelector": {}}]
        assert first_drift(applied=policy, live=live) == "spec.ingress[0].from"

    def test_subjects_of_a_binding(self) -> None:
        binding = of_kind(router_objects(), "RoleBinding")
        live = served(binding)
        live["subjects"].append({"kind": "ServiceAccount", "name": "other", "namespace": "team-a"})
        assert first_drift(applied=binding, live=live) == "subjects"


class TestQuantities:
    """Other spellings are the same, other amounts are not."""

    @pytest.mark.parametrize(
        ("resource", "spelling"), [("memory", "25769803776"), ("memory", "24576Mi"), ("cpu", "4000m"), ("cpu", "4.0")]
    )
    def test_spelling(self, resource: str, spelling: str) -> None:
        live = served(DEPLOYMENT)
        engine_of(live)["resources"]["requests"][resource] = spelling
        assert first_drift(applied=DEPLOYMENT, live=live) is None

    def test_only_where_quantities_are(self) -> None:
        config = {"kind": "ConfigMap", "data": {"value": "1000m"}}
        assert first_drift(applied=config, live={"kind": "ConfigMap", "data": {"value": "1"}}) == "data[value]"

    def test_no_quantity_at_all(self) -> None:
        live = served(DEPLOYMENT)
        engine_of(live)["resources"]["requests"]["memory"] = {"no": "quantity"}
        assert first_drift(applied=DEPLOYMENT, live=live) == f"{CONTAINER}.resources.requests.memory"

    @pytest.mark.parametrize(("size", "expected"), [("300Gi", None), ("100Gi", "spec.resources.requests.storage")])
    def test_a_claim_may_have_grown(self, size: str, expected: str | None) -> None:
        claim = of_kind(ENGINE, "PersistentVolumeClaim")
        live = served(claim)
        live["spec"]["resources"]["requests"]["storage"] = size
        assert first_drift(applied=claim, live=live) == expected


class TestEmpty:
    """The API server drops empty values where they mean nothing, and keeps them in maps of strings."""

    @pytest.mark.parametrize("value", ["", False, 0, {}, [], {"inner": {"deep": []}}])
    def test_dropped(self, value: Any) -> None:
        assert first_drift(applied={"spec": {"field": value}}, live={"spec": {}}) is None

    @pytest.mark.parametrize("value", ["x", True, 1, {"inner": "x"}, ["x"], [""]])
    def test_missing(self, value: Any) -> None:
        assert (first_drift(applied={"spec": {"field": value}}, live={}) or "").startswith("spec.field")

    @pytest.mark.parametrize("field", ["labels", "annotations", "data"])
    def test_kept(self, field: str) -> None:
        assert first_drift(applied={field: {"key": ""}}, live={field: {"key": ""}}) is None
        assert first_drift(applied={field: {"key": ""}}, live={field: {}}) == f"{field}[key]"


def test_ports_of_one_number_are_told_apart_by_protocol() -> None:
    tcp, udp = {"port": 53, "name": "t"}, {"port": 53, "protocol": "UDP", "name": "u"}
    applied = {"spec": {"ports": [udp, tcp]}}
    assert first_drift(applied=applied, live={"spec": {"ports": [{**tcp, "protocol": "TCP"}, udp]}}) is None
    assert first_drift(applied=applied, live={"spec": {"ports": [udp]}}) == "spec.ports[53]"


def test_the_path_shows_no_value() -> None:
    applied = {"spec": {"containers": [{"name": "engine", "env": [{"name": "TOKEN", "value": "secret"}]}]}}
    live = {"spec": {"containers": [{"name": "engine", "env": [{"name": "TOKEN", "value": "other"}]}]}}
    assert first_drift(applied=applied, live=live) == "spec.containers[engine].env[TOKEN].value"


def test_a_field_that_is_no_longer_rendered_is_drift() -> None:
    before = of_kind(engine_objects(pod={"env": [{"name": "EXTRA", "value": "1"}]}), "Deployment")
    assert first_drift(applied=DEPLOYMENT, live=served(before)) is not None


def test_a_user_that_left_is_drift_of_the_router() -> None:
    with_two, with_one = router_objects(), router_objects(owners=(CHAT,))
    for kind in ("Service", "Deployment", "RoleBinding"):
        assert first_drift(applied=of_kind(with_one, kind), live=served(of_kind(with_two, kind))) is not None
