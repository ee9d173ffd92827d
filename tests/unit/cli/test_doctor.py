"""`kubectl gemma doctor`: every check on a cluster that is well, and on one that is not."""

import asyncio
import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.crd import crd
from gemma_operator.api.errors import ApiError
from gemma_operator.catalog.load import load_catalog
from gemma_operator.cli import session
from gemma_operator.cli.checkup import checkup
from gemma_operator.cli.findings import Check, Result
from gemma_operator.cli.images import OPERATOR_IMAGE
from gemma_operator.cli.surroundings import Surroundings
from gemma_operator.cluster.resources import Resource

from tests.unit.cli.conftest import gemma
from tests.unit.inventory.builders import Object, node, pod, pool_deployment, quota

CATALOG = load_catalog()


def installed(*, ready: int = 1, image: str = OPERATOR_IMAGE) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "gemma-operator", "namespace": "gemma-system"},
        "spec": {"template": {"spec": {"containers": [{"name": "operator", "image": image}]}}},
        "status": {"readyReplicas": ready},
    }


def operator_pod(**status: Any) -> Object:
    made = pod("gemma-operator-x", on="cpu", namespace="gemma-system")
    made["spec"]["containers"][0]["ports"] = [{"containerPort": 8080}]
    made["status"].update(status)
    return made


def accepted_crd() -> Object:
    return crd() | {"status": {"conditions": [{"type": "Established", "status": "True"}]}}


WELL = Surroundings(
    namespace="default",
    version="1.36",
    crd=accepted_crd(),
    nodes=[node("gpu", gpu="l4", gpus=4, driver=580), node("cpu", gpu=None)],
    pods=[pod("other", on="gpu", gpus=1)],
    deployments=[],
    operators=[installed()],
    operator_pods=[operator_pod()],
    config={},
    gemma_deployments=[],
    quotas=[],
    limit_ranges=[],
    policies=[],
    runtime_classes=[],
    storage_classes=[],
    metrics="gemma_operator_plans_total 1.0\n",
)


def check(config: dict[str, Any] | None = None, **changes: Any) -> list[Check]:
    """What is found where the cluster is well but for `changes`."""
    settings = OperatorConfig.model_validate(config or {})
    return checkup(replace(WELL, **changes), catalog=CATALOG, config=settings)


def found(checks: list[Check], name: str) -> list[tuple[str, str]]:
    return [(each.result.value, each.message) for each in checks if each.name == name]


def test_all_is_well():
    checks = check()
    assert {each.result for each in checks} == {Result.OK}
    assert found(checks, "gpus") == [("ok", "free: 3 of 4 l4")]
    assert found(checks, "drivers") == [("ok", "1 node can run vLLM 0.32.0")]


def policy(name: str, spec: Object, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def named(kind: str, name: str, **annotations: str) -> Object:
    return {"kind": kind, "metadata": {"name": name, "annotations": annotations}}


def cached(**cache: Any) -> Object:
    return gemma("chat", {"weights": {"cache": {"size": "10Gi", **cache}}})


def limit_range(**most: str) -> Object:
    return {"metadata": {"name": "small"}, "spec": {"limits": [{"type": "Container", "max": most}]}}


def labelled(name: str, **labels: str) -> Object:
    made = node(name, gpu=None)
    made["metadata"]["labels"].update(labels)
    return made


def unknown_gpu() -> Object:
    made = node("odd", gpu=None)
    made["status"]["allocatable"]["nvidia.com/gpu"] = "2"
    return made


def router(ready: int) -> Object:
    return {
        "metadata": {"name": "gemma-router", "labels": {"gemma4stack.dev/router": "gemma-router"}},
        "spec": {"replicas": 2},
        "status": {"readyReplicas": ready},
    }


def old_crd() -> Object:
    made = copy.deepcopy(accepted_crd())
    made["spec"]["versions"][0]["name"] = "v1alpha0"
    return made


TAINT = {"key": "team", "value": "vision", "effect": "NoSchedule"}
NO_METRICS = gemma("chat", {}) | {
    "status": {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "NoMetrics", "message": "silent"}]}
}
PULL = {"containerStatuses": [{"name": "operator", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}


@pytest.mark.parametrize(
    ("changes", "name", "result", "words"),
    [
        ({"version": "1.29"}, "kubernetes", "fail", "1.29 is too old"),
        ({"version": ""}, "kubernetes", "warn", "does not tell"),
        ({"crd": None}, "crd", "fail", "there is no CustomResourceDefinition"),
        ({"crd": None, "hidden": {"crd": "no"}}, "crd", "ok", "serves gemmadeployments"),
        ({"crd": crd()}, "crd", "fail", "has not accepted"),
        ({"crd": old_crd()}, "crd", "fail", "it serves v1alpha0, and this version wants v1alpha1"),
        ({"operators": []}, "operator", "fail", "no operator is installed"),
        (
            {"operators": [installed(ready=0)], "operator_pods": [operator_pod(**PULL)]},
            *("operator", "fail", "pod gemma-operator-x: ImagePullBackOff"),
        ),
        ({"operators": [installed(image="x/gemma-operator:9.9.9")]}, "operator", "warn", "runs version 9.9.9"),
        ({"operators": None, "hidden": {"operators": "no"}}, "operator", "warn", "not checked: operators: no"),
        ({"metrics": "up 1\n"}, "metrics", "warn", "none of its metrics"),
        ({"metrics": None, "hidden": {"metrics": "you may not"}}, "metrics", "warn", "not checked: metrics"),
        ({"gemma_deployments": [NO_METRICS]}, "metrics", "warn", "chat: silent"),
        ({"nodes": [node("cpu", gpu=None)]}, "gpus", "fail", "no node carries a GPU that the planner knows"),
        ({"nodes": None, "hidden": {"nodes": "no"}}, "gpus", "warn", "not checked: nodes"),
        ({"pods": [], "hidden": {"pods": "no"}}, "gpus", "warn", "not checked: pods"),
        (
            {"nodes": [labelled("bare", **{"nvidia.com/gpu.present": "true"})]},
            *("device plugin", "fail", "node bare has the label nvidia.com/gpu.present and advertises no GPU"),
        ),
        ({"nodes": [unknown_gpu()]}, "gpu labels", "fail", "node odd advertises nvidia.com/gpu and no label says"),
        ({"nodes": [node("old", driver=470)]}, "drivers", "fail", "node old: vllm 0.32.0 needs NVIDIA driver 525"),
        ({"nodes": [node("mute")]}, "drivers", "warn", "no label tells the driver of mute"),
        ({"nodes": [node("closed", cordoned=True)]}, "nodes", "warn", "node closed has GPUs and is cordoned"),
        ({"nodes": [node("kept", taints=[TAINT])]}, "nodes", "warn", "the taint team=vision:NoSchedule"),
        (
            {"gemma_deployments": [gemma("chat", {"pod": {"runtimeClassName": "nvidia"}})]},
            *("runtime class", "fail", "chat asks for nvidia and there is none"),
        ),
        (
            {
                "gemma_deployments": [gemma("chat", {"pod": {"runtimeClassName": "nvidia"}})],
                "runtime_classes": [named("RuntimeClass", "nvidia")],
            },
            *("runtime class", "ok", "nvidia exists"),
        ),
        ({"gemma_deployments": [cached(storageClassName="nfs")]}, "storage", "fail", "asks for StorageClass nfs"),
        ({"gemma_deployments": [cached()]}, "storage", "fail", "names no StorageClass and none is the default"),
        (
            {
                "gemma_deployments": [cached()],
                "storage_classes": [
                    named("StorageClass", "nfs", **{"storageclass.kubernetes.io/is-default-class": "true"})
                ],
            },
            *("storage", "ok", "chat: StorageClass nfs"),
        ),
        (
            {"policies": [policy("deny", {"podSelector": {}, "policyTypes": ["Egress"]})]},
            *("network", "warn", "NetworkPolicy deny of namespace default limits"),
        ),
        (
            {"policies": [policy("in", {"podSelector": {}, "policyTypes": ["Ingress"]})]},
            *("network", "ok", "no policy of namespace default"),
        ),
        (
            {"quotas": [quota("q", hard={"requests.nvidia.com/gpu": "2"}, used={"requests.nvidia.com/gpu": "2"})]},
            *("quota", "warn", "ResourceQuota q of namespace default leaves no requests.nvidia.com/gpu"),
        ),
        ({"quotas": [quota("q", hard={"requests.memory": "64Gi"})]}, "quota", "ok", "ResourceQuota q has room"),
        (
            {"limit_ranges": [limit_range(memory="512Mi")], "deployments": [pool_deployment("chat", replicas=1)]},
            *("limits", "fail", "LimitRange small allows 512Mi memory and chat-0 needs more"),
        ),
        ({"deployments": [router(1)]}, "router", "warn", "gemma-router: 1 of 2 pods are ready"),
        ({"deployments": [router(0)]}, "router", "fail", "gemma-router: 0 of 2 pods are ready"),
    ],
)
def test_what_is_wrong_is_found_with_a_remedy(changes, name, result, words):
    checks = check(**changes)
    told = [each for each in checks if each.name == name and words in each.message]
    assert [each.result.value for each in told] == [result], checks
    assert bool(told[0].remedy) is (result != "ok")


def test_a_wide_enough_limit_range_is_silent():
    checks = check(limit_ranges=[limit_range(memory="64Gi")], deployments=[pool_deployment("chat", replicas=1)])
    assert not found(checks, "limits")


def test_the_configuration_counts():
    tolerant = check({"engine": {"tolerations": [{"operator": "Exists"}]}}, nodes=[node("kept", taints=[TAINT])])
    assert not found(tolerant, "nodes")
    own = check({"engine": {"images": {"nvidia": "own/vllm:1"}}}, nodes=[node("old", driver=470)])
    assert not found(own, "drivers"), "nobody knows what an own image needs"
    added = {"provisionable": [{"accelerator": "l4", "gpusPerNode": 4, "nodes": 2}]}
    assert found(check(added, nodes=[node("cpu", gpu=None)]), "gpus")[0][0] == "ok"


class Api:
    """A cluster that is well, read by somebody with few rights: lists of `refused` are forbidden."""

    def __init__(self, *refused: str, version: str = "1.36") -> None:
        self._refused, self._version = refused, version
        self.configs = [{"metadata": {"name": "c"}, "data": {"config.yaml": "engine: {version: 0.32.0}\n"}}]

    def _check(self, plural: str) -> None:
        if plural in self._refused:
            raise ApiError(status=403, reason="Forbidden", message="no", verb="LIST", path=plural)

    async def list(
        self, resource: Resource, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        await asyncio.sleep(0)
        self._check(resource.plural)
        chart = bool(labels)
        items = {
            "nodes": WELL.nodes,
            "pods": WELL.operator_pods if chart else WELL.pods,
            "deployments": WELL.operators if chart else [],
            "configmaps": self.configs,
        }.get(resource.plural)
        return [{k: v for k, v in obj.items() if k not in ("kind", "apiVersion")} for obj in items or ()], "1"

    async def get(self, resource: Resource, *, name: str, namespace: str | None = None) -> Object | None:
        await asyncio.sleep(0)
        self._check(resource.plural)
        assert name == "gemmadeployments.gemma4stack.dev"
        return accepted_crd()

    async def read(self, path: str) -> bytes:
        await asyncio.sleep(0)
        if path == "/version":
            major, minor = self._version.split(".")
            return json.dumps({"major": major, "minor": f"{minor}+"}).encode()
        assert path == "/api/v1/namespaces/gemma-system/pods/gemma-operator-x:8080/proxy/metrics"
        self._check("pods/proxy")
        return (WELL.metrics or "").encode()

    async def close(self) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def doctor(run: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def invoke(*arguments: str, api: Api) -> Any:
        async def connect(**_: Any) -> Api:
            await asyncio.sleep(0)
            return api

        monkeypatch.setattr(session, "connect", connect)
        monkeypatch.setattr(session, "current_namespace", lambda *_: "default")
        return run("doctor", *arguments)

    return invoke


def test_the_command(doctor):
    result = doctor(api=Api())
    assert result.exit_code == 0, result.output
    assert all(line.startswith("ok ") for line in result.stdout.splitlines())
    body = json.loads(doctor("-o", "json", api=Api()).stdout)
    assert body["namespace"] == "default"
    assert {each["check"] for each in body["checks"]} >= {"kubernetes", "crd", "operator", "metrics", "gpus", "network"}


def test_of_several_operators_the_one_of_the_namespace_is_the_measure(doctor):
    team = "namespaces: [team]\nengine: {version: 0.20.0}\n"
    others = "namespaces: [default]\nengine: {version: 0.31.0}\n"
    texts = {"a": team, "b": others}
    api = Api()
    api.configs = [
        {"metadata": {"name": name, "namespace": "sys"}, "data": {"config.yaml": texts[name]}} for name in texts
    ]
    result = doctor(api=api)
    assert "can run vLLM 0.31.0" in result.stdout
    assert result.stderr == ""
    result = doctor("-n", "other", api=api)
    assert "can run vLLM 0.20.0" in result.stdout
    assert "no installed operator watches other (sys/a, sys/b): the configuration of sys/a is used" in result.stderr


def test_something_that_fails_is_exit_code_1(doctor):
    result = doctor(api=Api(version="1.20"))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].split() == ["fail", "kubernetes", "version", "1.20", "is", "too", "old"]
    assert result.stdout.splitlines()[1].strip() == "→ use Kubernetes 1.30 or newer"


def test_few_rights_leave_checks_out_and_say_so(doctor):
    hidden = (
        "nodes",
        "pods",
        "deployments",
        "customresourcedefinitions",
        "pods/proxy",
        "configmaps",
        "networkpolicies",
    )
    result = doctor(api=Api(*hidden))
    assert result.exit_code == 0
    assert "not checked: nodes: you may not list them" in result.stdout
    assert "not checked: policies: you may not list them" in result.stdout
    assert "not checked: metrics: you may not use pods/proxy" in doctor(api=Api("pods/proxy")).stdout
