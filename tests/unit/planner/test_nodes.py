"""Node affinity, images by driver, and what a replica asks of its node."""

from typing import Any

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.inventory.matching import matches_terms
from gemma_operator.planner.types import Pool

from tests.unit.inventory.builders import GFD, Object, node, pod, term
from tests.unit.planner.builders import inventory_of, plan_on

GIB = 2**30


def pool_on(*nodes: Any, config: OperatorConfig | None = None, **spec: Any) -> Pool:
    settings = config or OperatorConfig()
    plan = plan_on(inventory_of(*nodes, config=settings), config=settings, **{"model": "e4b", **spec})
    assert plan.pools, plan.reason
    return plan.pools[0]


def selects(pool: Pool, obj: Object) -> bool:
    metadata = obj["metadata"]
    return matches_terms(pool.node_selector_terms, labels=metadata["labels"], name=metadata["name"])


GKE = {"cloud.google.com/gke-accelerator": "nvidia-l4"}
KARPENTER = {"karpenter.k8s.aws/instance-gpu-name": "l4", "karpenter.k8s.aws/instance-gpu-memory": "22888"}


def test_one_term_for_every_way_in_which_nodes_are_labelled():
    nodes = [node("gfd"), node("gke", gpu=None, labels=GKE), node("karpenter", gpu=None, labels=KARPENTER)]
    pool = pool_on(*nodes)
    assert len(pool.node_selector_terms) == 3
    assert all(selects(pool, each) for each in nodes)
    others = [node("t4", gpu="t4"), node("h100", gpu="h100"), node("none", gpu=None)]
    assert not any(selects(pool, each) for each in others)


def test_no_term_for_labels_that_no_node_has():
    pool = pool_on(node("gke", gpu=None, labels=GKE))
    keys = [each["key"] for found in pool.node_selector_terms for each in found["matchExpressions"]]
    assert "nvidia.com/gpu.product" not in keys


@pytest.mark.parametrize(
    ("drivers", "tag"),
    [
        ((None,), "v0.32.0"),
        ((580,), "v0.32.0"),
        ((570,), "v0.32.0-cu129"),
        ((580, 570), "v0.32.0-cu129"),
        ((580, None), "v0.32.0"),
        ((590, 470), "v0.32.0"),
    ],
)
def test_the_image_suits_the_oldest_driver_that_runs_one(drivers, tag):
    pool = pool_on(*(node(f"n{number}", driver=driver) for number, driver in enumerate(drivers)))
    assert pool.image == f"docker.io/vllm/vllm-openai:{tag}"


def test_nodes_with_a_driver_that_runs_no_image_are_left_out():
    new, old = node("new", driver=580), node("old", driver=470)
    pool = pool_on(new, old)
    assert selects(pool, new)
    assert not selects(pool, old)
    assert plan_on(inventory_of(new, old), model="e4b", scaling={"min": 5, "max": 5}).blocked == "NothingFits"
    full = inventory_of(new, old, pods=[pod("other", on="new", gpus=4)])
    assert plan_on(full, model="e4b").blocked == "InsufficientCapacity"


def test_configured_images_win():
    config = OperatorConfig.model_validate({"engine": {"images": {"nvidia": "registry.example/engine:1"}}})
    assert pool_on(node("a", driver=470), config=config).image == "registry.example/engine:1"


def test_a_registry_of_the_site_holds_the_images_that_nobody_named():
    config = OperatorConfig.model_validate({"imageRegistry": "mirror.example/hub"})
    assert pool_on(node("a"), config=config).image == "mirror.example/hub/vllm/vllm-openai:v0.32.0"
    named = {"imageRegistry": "mirror.example/hub", "engine": {"images": {"nvidia": "registry.example/engine:1"}}}
    assert pool_on(node("a"), config=OperatorConfig.model_validate(named)).image == "registry.example/engine:1"


def provisionable(**fields: Any) -> OperatorConfig:
    entry = {"accelerator": "l4", "gpusPerNode": 4, "nodes": 1, **fields}
    return OperatorConfig.model_validate({"provisionable": [entry]})


@pytest.mark.parametrize(
    "labels",
    [GKE, {"team": "ml", "disk": "fast"}, {**GFD["l4"], "team": "ml"}],
    ids=["gke", "own labels", "gfd"],
)
def test_nodes_to_be_added_are_selected_by_their_labels(labels):
    pool = pool_on(config=provisionable(labels=labels))
    assert selects(pool, node("added", gpu=None, labels=labels))


def test_nodes_to_be_added_without_labels_are_selected_in_every_known_way():
    pool = pool_on(config=provisionable())
    for labels in (GKE, GFD["l4"], KARPENTER):
        assert selects(pool, node("added", gpu=None, labels=labels))


def test_taints_and_size_of_nodes_to_be_added_count():
    taint = {"key": "team", "value": "x", "effect": "NoSchedule"}
    config = provisionable(labels=GKE, taints=[taint])
    assert plan_on(inventory_of(config=config), model="e4b", config=config).pools == ()
    small = provisionable(labels=GKE, cpu="1")
    assert plan_on(inventory_of(config=small), model="e4b", config=small).pools == ()


def test_arm_hosts_get_their_image_and_toleration():
    labels = {
        "kubernetes.io/arch": "arm64",
        "nvidia.com/gpu.product": "NVIDIA-GH200-480GB",
        "nvidia.com/gpu.memory": "97871",
        "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
    }
    taint = {"key": "kubernetes.io/arch", "value": "arm64", "effect": "NoSchedule"}
    pool = pool_on(node("g", gpu=None, gpus=1, labels=labels, taints=[taint]), accelerators=["gh200"])
    assert pool.accelerator == "gh200"
    assert {
        "key": "kubernetes.io/arch",
        "operator": "Equal",
        "value": "arm64",
        "effect": "NoSchedule",
    } in pool.tolerations


def test_a_smallest_cloud_node_takes_one_l4():
    """g2-standard-4 and g6.xlarge: 4 CPU and 16 GiB, less what the kubelet keeps."""
    pool = pool_on(node("a", gpus=1, cpu="3920m", memory="13Gi", storage="80Gi"), model="e4b")
    assert pool.resources.cpu_millis <= 3920


def test_storage_holds_the_download_with_a_margin_unless_there_is_a_cache():
    own = pool_on(node("a")).resources.ephemeral_bytes
    cached = pool_on(node("a"), weights={"cache": {"claimName": "weights"}}).resources.ephemeral_bytes
    weights = pool_on(node("a")).weights_bytes
    assert own >= weights * 1.1
    assert cached < 4 * GIB


def test_resources_of_the_spec_beat_those_of_the_configuration():
    config = OperatorConfig.model_validate({"engine": {"cpuRequest": "250m", "memoryRequest": "512Mi"}})
    pool = pool_on(node("a"), config=config, pod={"resources": {"requests": {"cpu": "7"}}})
    assert pool.resources.cpu_millis == 7000
    assert pool.resources.memory_bytes == 512 * 2**20
    tiny = node("tiny", cpu="1", memory="1Gi")
    assert pool_on(tiny, config=config).resources.cpu_millis == 250


def test_cpu_nodes_are_selected_by_architecture():
    pool = pool_on(node("a", gpu=None), accelerators=["cpu"])
    assert pool.node_selector_terms == (term("kubernetes.io/arch", "amd64"),)
    arm = node("arm", gpu=None, labels={"kubernetes.io/arch": "arm64"})
    assert plan_on(inventory_of(arm), model="e4b", accelerators=["cpu"]).blocked == "NoSuchAccelerator"
