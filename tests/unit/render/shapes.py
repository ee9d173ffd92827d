"""Deployments on fleets, planned by the real planner: what the golden manifests are rendered from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.load import load_catalog
from gemma_operator.inventory.build import build_inventory
from gemma_operator.planner.plan import plan
from gemma_operator.planner.types import Pool
from gemma_operator.render.engine import render_engine
from gemma_operator.render.types import DeploymentIdentity, Object, Strategy

from tests.unit.render.builders import CHAT

CATALOG = load_catalog()
CONFIG = OperatorConfig()
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def node(name: str, *, gpus: int = 0, labels: dict[str, str], taints: Iterable[dict[str, str]] = ()) -> Object:
    """A Ready node with room for any engine, and its GPUs."""
    allocatable = {"cpu": "96", "memory": "1000Gi", "ephemeral-storage": "1500Gi", "pods": "110"}
    if gpus:
        allocatable["nvidia.com/gpu"] = str(gpus)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", **labels},
        },
        "spec": {"taints": list(taints)},
        "status": {
            "allocatable": allocatable,
            "capacity": allocatable,
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"architecture": "amd64"},
        },
    }


def gfd(name: str, product: str, *, mebibytes: int, capability: str, gpus: int = 1) -> Object:
    """A node labelled by NVIDIA's GPU feature discovery."""
    major, _, minor = capability.partition(".")
    return node(
        name,
        gpus=gpus,
        labels={
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.product": product,
            "nvidia.com/gpu.memory": str(mebibytes),
            "nvidia.com/gpu.count": str(gpus),
            "nvidia.com/gpu.compute.major": major,
            "nvidia.com/gpu.compute.minor": minor,
            "nvidia.com/cuda.driver-version.major": "580",
        },
    )


def gke(name: str, accelerator: str, *, gpus: int = 1) -> Object:
    """A GPU node as GKE labels and taints it."""
    labels = {"cloud.google.com/gke-accelerator": accelerator, "cloud.google.com/gke-accelerator-count": str(gpus)}
    return node(name, gpus=gpus, labels=labels, taints=[GPU_TAINT])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A deployment on a fleet, and what the plan must be for the golden manifest to mean what its name says."""

    name: str
    spec: dict[str, Any]
    nodes: tuple[Object, ...]
    model: str
    precision: str
    accelerator: str
    gpus: int
    strategy: Strategy = "surge"
    settings: OperatorConfig = field(default=CONFIG)

    def parsed(self) -> GemmaDeploymentSpec:
        """The spec as the operator reads it."""
        return GemmaDeploymentSpec.model_validate(self.spec)

    def pool(self) -> Pool:
        """The only pool that the planner chooses."""
        planned = plan(
            spec=self.parsed(),
            name="chat",
            namespace="team-a",
            inventory=build_inventory(nodes=self.nodes, pods=[], catalog=CATALOG, config=self.settings),
            catalog=CATALOG,
            config=self.settings,
        )
        assert planned.pools, f"{planned.reason} {planned.next_step} {[item.reason for item in planned.rejected]}"
        (pool,) = planned.pools
        return pool

    def objects(self, deployment: DeploymentIdentity = CHAT) -> list[Object]:
        """Everything that is rendered for it."""
        return render_engine(
            deployment=deployment,
            spec=self.parsed(),
            pools=(self.pool(),),
            config=self.settings,
            strategy=self.strategy,
            operator_namespace="gemma-system",
        )


L4 = gfd("l4-1", "NVIDIA-L4", mebibytes=23034, capability="8.9")
L40S = gfd("l40s-1", "NVIDIA-L40S", mebibytes=46068, capability="8.9")
A100 = gfd("a100-1", "NVIDIA-A100-SXM4-40GB", mebibytes=40960, capability="8.0")


def h100(gpus: int) -> Object:
    """A node with H100 SXM GPUs."""
    return gfd("h100-1", "NVIDIA-H100-80GB-HBM3", mebibytes=81559, capability="9.0", gpus=gpus)


SHAPES = (
    Shape(
        name="e2b-l4",
        spec={"model": "e2b", "features": {"audio": True}},
        nodes=(L4,),
        model="e2b",
        precision="bf16",
        accelerator="l4",
        gpus=1,
    ),
    Shape(
        name="12b-int4-l4",
        spec={"model": "12b", "precision": "int4", "concurrency": 4},
        nodes=(L4,),
        model="12b",
        precision="int4",
        accelerator="l4",
        gpus=1,
        strategy="inPlace",
    ),
    Shape(
        name="26b-a4b-fp8-l40s",
        spec={"model": "26b-a4b", "precision": "fp8", "weights": {"cache": {"size": "300Gi", "keep": True}}},
        nodes=(L40S,),
        model="26b-a4b",
        precision="fp8",
        accelerator="l40s",
        gpus=1,
    ),
    Shape(
        name="26b-a4b-fp8-h100",
        spec={"model": "26b-a4b", "precision": "fp8", "context": 131072, "scaling": {"drainTimeout": "15m"}},
        nodes=(h100(1),),
        model="26b-a4b",
        precision="fp8",
        accelerator="h100",
        gpus=1,
    ),
    Shape(
        name="31b-bf16-2xh100",
        spec={
            "model": "31b",
            "precision": "bf16",
            "context": 65536,
            "concurrency": 16,
            "features": {"thinking": True, "images": False},
            "weights": {"tokenSecretRef": {"name": "hugging-face"}, "cache": {"claimName": "models"}},
        },
        nodes=(h100(2),),
        model="31b",
        precision="bf16",
        accelerator="h100",
        gpus=2,
    ),
    Shape(
        name="31b-int4-a100-40",
        spec={"model": "31b", "precision": "int4", "concurrency": 2, "features": {"images": False, "tools": False}},
        nodes=(A100,),
        model="31b",
        precision="int4",
        accelerator="a100-40",
        gpus=1,
        strategy="inPlace",
    ),
    Shape(
        name="31b-mixed-labels",
        spec={
            "model": "31b",
            "precision": "fp8",
            "pod": {
                "labels": {"team": "search"},
                "annotations": {"example.com/note": "mixed"},
                "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
                "nodeSelector": {"kubernetes.io/arch": "amd64"},
                "tolerations": [{"key": "team", "operator": "Equal", "value": "search", "effect": "NoSchedule"}],
                "extraArgs": ["--enable-prefix-caching"],
                "priorityClassName": "serving",
                "imagePullSecrets": ["registry"],
            },
        },
        nodes=(h100(1), gke("gke-h100-1", "nvidia-h100-80gb")),
        model="31b",
        precision="fp8",
        accelerator="h100",
        gpus=1,
    ),
    Shape(
        name="e4b-cpu",
        spec={"model": "e4b", "accelerators": ["cpu"], "concurrency": 1, "tokensPerSecond": 1},
        nodes=(node("cpu-1", labels={}),),
        model="e4b",
        precision="bf16",
        accelerator="cpu",
        gpus=0,
    ),
    Shape(
        name="e2b-without-router",
        spec={
            "model": "e2b",
            "router": {"enabled": False},
            "pod": {"resources": {"requests": {"cpu": "500m", "memory": "4Gi"}, "limits": {"memory": "8Gi"}}},
        },
        nodes=(L4,),
        model="e2b",
        precision="bf16",
        accelerator="l4",
        gpus=1,
        settings=OperatorConfig.model_validate(
            {"engine": {"preStopSeconds": 0, "startupBudgetSeconds": 120}, "monitoringNamespace": "monitoring"}
        ),
    ),
)
