"""Dumps hold what the planner reads and nothing that a person would not want to hand out."""

import json
from collections.abc import Callable

import pytest
from gemma_operator.inventory.build import build_inventory
from gemma_operator.inventory.trim import (
    trim_deployment,
    trim_gemma_deployment,
    trim_node,
    trim_pod,
    trim_quota,
)
from gemma_operator.inventory.types import Inventory

from tests.unit.inventory.builders import Object, affinity, node, pod, pool_deployment, quota, term
from tests.unit.planner.builders import CATALOG, CONFIG

GDEP = {
    "apiVersion": "gemma4stack.dev/v1alpha1",
    "kind": "GemmaDeployment",
    "metadata": {"name": "chat", "namespace": "default", "uid": "u", "annotations": {"note": "secret"}},
    "spec": {
        "model": "e2b",
        "weights": {"tokenSecretRef": {"name": "secret"}, "cache": {"claimName": "weights"}},
        "pod": {"env": [{"name": "A", "value": "secret"}], "extraArgs": ["--secret"], "nodeSelector": {"zone": "a"}},
    },
    "status": {"plan": {"pools": [{"model": "e2b", "args": ["--secret"], "env": [{"name": "A", "value": "secret"}]}]}},
}
FULL = [
    (trim_node, node("a", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}], cordoned=True)),
    (trim_pod, pod("p", on="a", gpus=1, deployment="chat", affinity=affinity([term("zone", "a")]))),
    (trim_quota, quota("q", hard={"requests.nvidia.com/gpu": "4"})),
    (trim_deployment, pool_deployment("chat", replicas=2)),
    (trim_gemma_deployment, GDEP),
]


@pytest.mark.parametrize(("trim", "obj"), FULL, ids=[obj["kind"] for _, obj in FULL])
def test_trimming_twice_changes_nothing(trim, obj):
    assert trim(trim(obj)) == trim(obj)


@pytest.mark.parametrize(("trim", "obj"), FULL, ids=[obj["kind"] for _, obj in FULL])
def test_no_environment_and_no_secret_is_left(trim, obj):
    text = json.dumps(trim(obj))
    assert "secret" not in text
    assert '"env"' not in text
    assert "image" not in text


def test_a_cluster_reads_the_same_whole_or_trimmed():
    nodes = [node("a"), node("b", cordoned=True), node("c", gpu="h100", ready=False)]
    pods = [
        pod("bound", on="a", gpus=2, initContainers=[{"resources": {"requests": {"cpu": "9"}}}]),
        pod("waiting", gpus=1, nodeSelector={"kubernetes.io/hostname": "a"}),
        pod("replica", on="a", gpus=1, deployment="chat"),
        pod("done", on="a", gpus=4, phase="Succeeded"),
    ]
    quotas, deployments = [quota("q", hard={"pods": "9"})], [pool_deployment("chat", replicas=3)]

    def read(*, trimmed: bool) -> Inventory:
        def of(trim: Callable[[Object], Object], objects: list[Object]) -> list[Object]:
            return [trim(obj) for obj in objects] if trimmed else objects

        return build_inventory(
            nodes=of(trim_node, nodes),
            pods=of(trim_pod, pods),
            quotas=of(trim_quota, quotas),
            deployments=of(trim_deployment, deployments),
            catalog=CATALOG,
            config=CONFIG,
        )

    assert read(trimmed=True) == read(trimmed=False)
