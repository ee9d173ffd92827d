"""The operator plans a mixed fleet as the CLI predicts, and never gives a GPU away twice."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from localk8s.controlplane import ControlPlane

from tests.integration import fleet
from tests.integration.operator_process import ROOT, Operator
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

MIXED = (
    fleet.h100("h100-a", count=8),
    fleet.a100_40("a100-a", count=4),
    fleet.l40s("l40s-a", count=2),
    fleet.l4("l4-a", count=4),
    fleet.t4("t4-a", count=4),
    fleet.mig("mig-a", profile="3g.40gb", product="NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", memory=40448, count=4),
    fleet.gke("gke-l4", accelerator="nvidia-l4", count=2),
    fleet.karpenter("eks-a10g", gpu="a10g", memory=22888, count=4, instance="g5.12xlarge"),
    fleet.aks("aks-h100", instance="Standard_NC40ads_H100_v5", count=1),
    fleet.h100("cordoned", count=8, unschedulable=True),
    fleet.l40s("tainted", count=4, taints=[{"key": "team", "value": "vision", "effect": "NoSchedule"}]),
    fleet.plain("cpu-a"),
)
CASES: dict[str, Object] = {
    "best-of-all": {},
    "small-on-l4": {"model": "e2b", "accelerators": ["l4"]},
    "medium-int4": {"model": "12b", "precision": "int4", "accelerators": ["l4"]},
    "moe-fp8": {"model": "26b-a4b", "precision": "fp8"},
    "dense-bf16": {"model": "31b", "precision": "bf16", "context": 32768},
    "dense-on-a100": {"model": "31b", "accelerators": ["a100-40gb"]},
    "on-a10g": {"model": "e4b", "accelerators": ["a10g"]},
    "on-mig": {"model": "12b", "accelerators": ["h100-mig-3g.40gb"]},
    "long-context": {"model": "e4b", "context": 131072, "concurrency": 2},
    "cheap": {"model": "auto", "atLeast": "e2b", "maxCostPerHour": 1.0},
    "tolerated": {
        "model": "26b-a4b",
        "accelerators": ["l40s"],
        "replicas": 3,
        "pod": {"tolerations": [{"key": "team", "operator": "Exists"}]},
    },
    "on-t4": {"model": "e2b", "accelerators": ["t4"]},
}


@pytest.fixture(scope="module")
def nodes(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(*MIXED)
    yield
    kubectl("delete", "nodes", "--all")


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, nodes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path_factory.mktemp("operator")) as running:
        yield running


def cli(*arguments: str, kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gemma_operator.cli", *arguments],
        env={"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def planned(kubectl: Kubectl, name: str, namespace: str) -> Object:
    """The object once the operator said whether it has a plan."""
    return eventually(
        lambda: kubectl.get("gdep", name, namespace=namespace),
        until=lambda obj: "Planned" in conditions(obj),
        seconds=30,
        what=f"{name} is planned or refused",
    )


@pytest.mark.parametrize("case", CASES)
def test_the_operator_does_what_the_cli_predicts(
    case: str, operator: Operator, control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    wanted = gemma(case, CASES[case], namespace=namespace)
    (tmp_path / "gdep.json").write_text(json.dumps(wanted))
    dump = cli("dump", kubeconfig=control_plane.kubeconfig)
    assert dump.returncode == 0, dump.stderr
    (tmp_path / "dump.json").write_text(dump.stdout)
    told = cli(
        *("plan", "-f", str(tmp_path / "gdep.json"), "--nodes", str(tmp_path / "dump.json"), "-o", "json"),
        kubeconfig=control_plane.kubeconfig,
    )
    assert told.returncode in (0, 2), told.stderr
    prediction = json.loads(told.stdout)

    kubectl.apply(wanted)
    obj = planned(kubectl, case, namespace)
    if told.returncode == 2:
        condition = conditions(obj)["Planned"]
        assert condition["status"] == "False"
        assert condition["message"].startswith(prediction["plan"]["reason"])
        assert not kubectl.find("deployments,pods", namespace=namespace), "nothing may be made for a blocked plan"
        return
    chosen, pool = obj["status"]["plan"]["pools"][0], prediction["plan"]["pools"][0]
    keys = set(chosen) - {"supply", "inferred", "memory"}
    assert {key: chosen[key] for key in keys} == {key: pool[key] for key in keys}
    assert obj["status"]["plan"]["reason"] == prediction["plan"]["reason"]
    eventually(
        lambda: kubectl.get("gdep", case, namespace=namespace),
        until=lambda now: now["status"].get("readyReplicas") == wanted["spec"].get("replicas", 1),
        seconds=60,
        what="pods are scheduled where the plan said",
    )
    for pod in kubectl.find("pods", namespace=namespace, selector=f"gemma4stack.dev/deployment={case}"):
        node = kubectl.get("node", pod["spec"]["nodeName"])
        assert node["metadata"]["name"] != "cordoned"
        limits = pod["spec"]["containers"][0]["resources"]["limits"]
        assert int(limits[pool["resource"]]) == pool["gpusPerReplica"]


@pytest.mark.timeout(300)
def test_ten_at_once_on_scarce_gpus_never_overbook(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    """Nine ask for one model on L4s, of which six exist; one asks for all H100s of a node."""
    # Namespaces of tests before are deleted one after the other, which can take minutes.
    kubectl("delete", "gdep", "--all", "-A", "--wait=false")
    eventually(
        lambda: kubectl.find("gdep,pods"),
        until=lambda left: not left,
        seconds=120,
        what="what the tests before asked for is gone, plans and pods, so that all GPUs are free",
    )
    names = [f"many-{index}" for index in range(9)]
    wanted = [gemma(name, {"model": "e2b", "precision": "bf16", "accelerators": ["l4"]}) for name in names]
    wanted.append(gemma("big", {"model": "31b", "precision": "bf16", "accelerators": ["h100-80gb-sxm"], "replicas": 4}))
    kubectl.apply(*wanted, namespace=namespace)
    objects = [planned(kubectl, obj["metadata"]["name"], namespace) for obj in wanted]
    verdicts = {obj["metadata"]["name"]: conditions(obj)["Planned"] for obj in objects}
    served = [name for name in names if verdicts[name]["status"] == "True"]
    waiting = [name for name in names if verdicts[name]["status"] == "False"]
    assert len(served) == 6, {name: verdict["message"] for name, verdict in verdicts.items()}
    assert {verdicts[name]["reason"] for name in waiting} == {"InsufficientCapacity"}
    eventually(
        lambda: kubectl.find("pods", namespace=namespace, selector="app.kubernetes.io/name=gemma-engine"),
        until=lambda pods: len(pods) >= len(served) and all(pod["spec"].get("nodeName") for pod in pods),
        seconds=60,
        what="every promised pod is bound",
    )
    _no_node_is_overbooked(kubectl)

    kubectl("delete", "gdep", served[0], "-n", namespace)
    eventually(
        lambda: [kubectl.get("gdep", name, namespace=namespace) for name in waiting],
        until=lambda objs: sum(conditions(obj)["Planned"]["status"] == "True" for obj in objs) == 1,
        seconds=60,
        what="the freed GPU goes to exactly one that waited",
    )
    _no_node_is_overbooked(kubectl)


def _no_node_is_overbooked(kubectl: Kubectl) -> None:
    asked: Counter[tuple[str, str]] = Counter()
    for pod in kubectl.find("pods"):
        for container in pod["spec"]["containers"]:
            for resource, count in container.get("resources", {}).get("limits", {}).items():
                if "/" in resource:
                    asked[pod["spec"].get("nodeName", "unbound"), resource] += int(count)
    capacity = {
        (node["metadata"]["name"], resource): int(count)
        for node in kubectl.find("nodes")
        for resource, count in node["status"]["allocatable"].items()
        if "/" in resource
    }
    over = {key: count for key, count in asked.items() if key[0] != "unbound" and count > capacity[key]}
    assert not over
    assert not [key for key in asked if key[0] == "unbound"], "a promise was made that no node can keep"


def test_a_quota_blocks_with_its_name_and_heals(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    quota: Object = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "0"}},
    }
    kubectl.apply(quota, namespace=namespace)
    eventually(
        lambda: kubectl.get("resourcequota", "team", namespace=namespace)["status"].get("hard"),
        seconds=30,
        what="the quota is in force",
    )
    kubectl.apply(gemma("limited", {"model": "e2b", "accelerators": ["l4"]}), namespace=namespace)
    condition = conditions(planned(kubectl, "limited", namespace))["Planned"]
    assert (condition["status"], condition["reason"]) == ("False", "QuotaExceeded")
    assert "team" in condition["message"]
    quota["spec"]["hard"]["requests.nvidia.com/gpu"] = "2"
    kubectl.apply(quota, namespace=namespace)
    eventually(
        lambda: conditions(kubectl.get("gdep", "limited", namespace=namespace)),
        until=lambda found: found["Ready"]["status"] == "True",
        seconds=90,
        what="it is planned and ready once the quota allows it",
    )


def test_an_accelerator_that_comes_later_is_used_at_once(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("patient", {"model": "31b", "accelerators": ["h200"]}), namespace=namespace)
    condition = conditions(planned(kubectl, "patient", namespace))["Planned"]
    assert condition["reason"] == "NoSuchAccelerator"
    assert "h200" in condition["message"]
    node = fleet.gfd("h200-late", product="NVIDIA-H200", memory=143771, compute="9.0", count=1)
    kubectl.apply(node)
    try:
        eventually(
            lambda: conditions(kubectl.get("gdep", "patient", namespace=namespace)),
            until=lambda found: found["Ready"]["status"] == "True",
            seconds=30,
            what="the new node is used without a restart",
        )
    finally:
        kubectl("delete", "node", "h200-late")


def test_what_exists_only_as_provisionable_is_planned_and_waits_for_its_node(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    config: dict[str, Any] = {
        "provisionable": [{"accelerator": "b200", "gpusPerNode": 8, "nodes": 1}],
        "namespaces": [namespace],
    }
    with Operator(kubeconfig=control_plane.kubeconfig, folder=tmp_path, config=config):
        kubectl.apply(gemma("later", {"model": "31b", "accelerators": ["b200"]}), namespace=namespace)
        obj = eventually(
            lambda: kubectl.get("gdep", "later", namespace=namespace),
            until=lambda now: conditions(now).get("Ready", {}).get("reason") == "Unschedulable",
            seconds=60,
            what="the pod waits for a node and the reason is told",
        )
        assert obj["status"]["plan"]["pools"][0]["supply"] == "Provisionable"
        message = conditions(obj)["Ready"]["message"]
        assert "finds no node" in message
        pods = kubectl.find("pods", namespace=namespace, selector="gemma4stack.dev/deployment=later")
        assert [pod["status"]["phase"] for pod in pods] == ["Pending"]
