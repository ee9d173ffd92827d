"""One sentence for each candidate that loses, which a person can act on."""

from typing import Any

import pytest
from gemma_operator.api.config import OperatorConfig

from tests.unit.inventory.builders import node, pod, quota
from tests.unit.planner.builders import inventory_of, plan_on, rejection

TEAM = {"key": "team", "value": "vision", "effect": "NoSchedule"}


def reason(
    *nodes: Any, model: str = "e4b", pods: Any = (), config: OperatorConfig | None = None, **spec: Any
) -> tuple[str, str]:
    """Code and reason of the bf16 candidate on one GPU."""
    settings = config or OperatorConfig()
    inventory = inventory_of(*nodes, pods=pods, config=settings)
    plan = plan_on(inventory, model=model, config=settings, **spec)
    found = rejection(plan, model=model, precision=spec.get("precision", "bf16"), gpus_per_replica=1)
    return found.code, found.reason


def test_weights_name_what_would_do():
    code, text = reason(node("a"), model="31b")
    assert code == "WeightsTooLarge"
    assert text == "31b bf16 on 1×l4: weights 58.9 GiB > 20.2 GiB usable; needs 4×l4"


def test_weights_name_a_smaller_precision():
    code, text = reason(node("a", gpu="a100-40", gpus=1), model="31b", concurrency=2)
    assert code == "WeightsTooLarge"
    assert text.endswith("needs 2×a100-40 or int4")


def test_context_says_what_is_left():
    code, text = reason(node("h", gpu="h100", gpus=1), model="31b", context=262144)
    assert code == "ContextTooLong"
    assert "one request of 262144 tokens needs" in text
    assert "enough for" in text
    assert "needs 2×h100 or fp8" in text


def test_too_few_sequences():
    code, text = reason(node("a"), model="e4b", concurrency=100)
    assert code == "TooFewSequences"
    assert "concurrency asks for 100" in text


@pytest.mark.parametrize(
    ("nodes", "code", "part"),
    [
        ([node("a", gpu="t4")], "ComputeCapabilityTooLow", "needs compute capability 8.0"),
        ([node("a", cpu="2")], "NodeTooSmall", "asks for 3 CPU and the roomiest node with l4, node a, has 2"),
        ([node("a", memory="8Gi")], "NodeTooSmall", "memory and the roomiest node with l4, node a, has 8.0 GiB"),
        ([node("a", storage="10Gi")], "NodeTooSmall", "ephemeral storage"),
        ([node("a", gpus=0)], "NodeTooSmall", "asks for 1 nvidia.com/gpu and the roomiest node with l4, node a, has 0"),
        ([node("a", pods=0)], "NodeTooSmall", "asks for 1 pod slots"),
        ([node("a", taints=[TEAM])], "Tainted", "carry the taint team=vision:NoSchedule: add a toleration"),
        ([node("a", cordoned=True)], "NodesUnavailable", "every node with l4 is cordoned: kubectl uncordon"),
        ([node("a", ready=False)], "NodesUnavailable", "every node with l4 is NotReady"),
        ([node("a", driver=470)], "DriverTooOld", "needs NVIDIA driver 525 or newer, the nodes have 470"),
    ],
)
def test_nodes_that_cannot(nodes, code, part):
    found, text = reason(*nodes)
    assert found == code
    assert part in text


def test_a_node_selector_that_no_node_has():
    code, text = reason(node("a"), pod={"nodeSelector": {"zone": "b"}})
    assert (code, "spec.pod.nodeSelector" in text) == ("NodeSelector", True)
    two = inventory_of(node("a"), node("b", labels={"zone": "b"}))
    assert plan_on(two, model="e4b", pod={"nodeSelector": {"zone": "b"}}).pools


def test_tolerated_taints_let_in():
    tolerations = [{"key": "team", "operator": "Equal", "value": "vision"}]
    inventory = inventory_of(node("a", taints=[TEAM]))
    plan = plan_on(inventory, model="e4b", pod={"tolerations": tolerations})
    assert plan.pools[0].tolerations[-1] == tolerations[0]
    config = OperatorConfig.model_validate({"engine": {"tolerations": tolerations}})
    assert plan_on(inventory, model="e4b", config=config).pools


@pytest.mark.parametrize(
    "taint",
    [
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},
        {"key": "nvidia.com/gpu", "value": "true", "effect": "NoExecute"},
        {"key": "sku", "value": "gpu", "effect": "NoSchedule"},
        {"key": "anything", "effect": "PreferNoSchedule"},
    ],
)
def test_usual_taints_of_gpu_nodes_are_tolerated(taint):
    assert plan_on(inventory_of(node("a", taints=[taint])), model="e4b").pools


def test_gpus_that_others_hold():
    code, text = reason(node("a", gpus=1), pods=[pod("other", on="a", gpus=1)])
    assert code == "Occupied"
    assert "fits once others leave" in text


def test_price_caps():
    code, text = reason(node("a"), maxCostPerHour=0.5)
    assert (code, "costs 0.81 USD per hour, above maxCostPerHour 0.50 USD" in text) == ("TooExpensive", True)
    assert plan_on(inventory_of(node("a")), model="e4b", maxCostPerHour=0.81).pools


def test_ollama_is_not_yet():
    plan = plan_on(inventory_of(node("a")), model="e4b")
    found = [each for each in plan.rejected if each.engine == "ollama"]
    assert len(found) == 1
    assert "Ollama is not supported yet" in found[0].reason
    only_vllm = plan_on(inventory_of(node("a")), model="e4b", engine="vllm")
    assert {each.engine for each in only_vllm.rejected} == {"vllm"}


def engine(version: str) -> OperatorConfig:
    """A configuration with a version that none may have: only the catalog of a later release denies it."""
    config = OperatorConfig()
    return config.model_copy(update={"engine": config.engine.model_copy(update={"version": version})})


def test_denied_and_old_engine_versions():
    code, text = reason(node("a"), config=engine("0.27.1"))
    assert (code, "vLLM 0.27.1 is denied" in text) == ("EngineVersionDenied", True)
    code, text = reason(node("h", gpu="h100"), model="12b", engineVersion="0.22.0")
    assert (code, "needs vLLM 0.23.0 or newer" in text) == ("EngineTooOld", True)


@pytest.mark.parametrize(
    ("version", "spec", "step"),
    [
        ("0.27.1", {}, "change engine.version in the operator's configuration"),
        ("0.32.0", {"model": "12b", "engineVersion": "0.22.0"}, "change spec.engineVersion"),
        ("0.18.0", {"model": "e4b"}, "change engine.version in the operator's configuration"),
        ("0.19.1", {"model": "e4b", "accelerators": ["gh200"]}, "change the engine's version, or name an image"),
    ],
)
def test_where_the_engine_can_serve_nothing_no_other_gpu_is_advised(version, spec, step):
    config = engine(version)
    arm = {"nvidia.com/gpu.product": "NVIDIA-GH200-480GB", "nvidia.com/gpu.memory": "97871"}
    nodes = node("a"), node("g", gpu=None, labels=arm)
    plan = plan_on(inventory_of(*nodes, config=config), config=config, **spec)
    assert plan.blocked == "NothingFits"
    assert plan.next_step.startswith(step)


def test_what_a_model_cannot_take():
    plan = plan_on(inventory_of(node("h", gpu="h100")), features={"audio": True})
    assert plan.pools[0].model == "12b"
    assert rejection(plan, model="31b", precision="bf16", gpus_per_replica=1).code == "ModalityMissing"
    plan = plan_on(inventory_of(node("h", gpu="h100")), context=200_000)
    assert rejection(plan, model="e4b", precision="bf16", gpus_per_replica=1).code == "ContextAboveLimit"


def test_a_short_list_shows_every_model():
    plan = plan_on(inventory_of(node("a", gpus=1), node("t", gpu="t4")))
    assert {each.model for each in plan.rejected[:8]} == {"e2b", "e4b", "12b", "26b-a4b", "31b"}


@pytest.mark.parametrize(
    ("inventory", "spec", "blocked", "part"),
    [
        (inventory_of(), {}, "NoGPUs", "no GPU that the planner knows"),
        (inventory_of(node("n", gpu=None)), {}, "NoGPUs", "no GPU that the planner knows"),
        (
            inventory_of(node("n", gpu=None, labels={"a": "b"})),
            {},
            "NoGPUs",
            "node n offers nvidia.com/gpu and no label says which GPU that is: install GPU feature discovery",
        ),
        (
            inventory_of(node("a")),
            {"accelerators": ["h200"]},
            "NoSuchAccelerator",
            "no node carries h200; the cluster has l4",
        ),
        (inventory_of(node("a")), {"accelerators": ["h2000"]}, "NoSuchAccelerator", "no node carries h2000"),
        (inventory_of(node("a")), {"model": "31b", "precision": "fp8"}, None, ""),
        (inventory_of(node("a", gpus=1)), {"model": "31b"}, "NothingFits", "31b int4 on 1×l4: weights"),
        (inventory_of(node("a"), pods=[pod("o", on="a", gpus=4)]), {}, "InsufficientCapacity", "once others leave"),
        (inventory_of(node("a", cordoned=True)), {}, "InsufficientCapacity", "cordoned"),
        (
            inventory_of(node("a")),
            {"model": "e4b", "maxCostPerHour": 0.1},
            "TooExpensive",
            "the cheapest plan costs 0.81",
        ),
        (
            inventory_of(node("a"), quotas=[quota("gpus", hard={"requests.nvidia.com/gpu": "0"})]),
            {},
            "QuotaExceeded",
            "ResourceQuota gpus of namespace default leaves 0 requests.nvidia.com/gpu, the plan needs",
        ),
    ],
)
def test_what_blocks_a_deployment_and_the_next_step(inventory, spec, blocked, part):
    plan = plan_on(inventory, **spec)
    if blocked is None:
        assert plan.pools
        assert (plan.blocked, plan.next_step) == ("", "")
        return
    assert plan.pools == ()
    assert plan.blocked == blocked
    assert part in plan.reason
    assert plan.next_step


@pytest.mark.parametrize(
    ("hard", "used", "fits"),
    [
        ({"requests.nvidia.com/gpu": "1"}, {}, True),
        ({"requests.nvidia.com/gpu": "2"}, {"requests.nvidia.com/gpu": "2"}, False),
        ({"requests.cpu": "2"}, {}, False),
        ({"cpu": "3"}, {}, True),
        ({"limits.memory": "4Gi"}, {}, False),
        ({"requests.memory": "64Gi"}, {"requests.memory": "1Gi"}, True),
        ({"requests.ephemeral-storage": "1Gi"}, {}, False),
        ({"pods": "0"}, {}, False),
        ({"count/pods": "1"}, {}, True),
        ({"requests.amd.com/gpu": "0", "services": "0"}, {}, True),
    ],
)
def test_quotas(hard, used, fits):
    inventory = inventory_of(node("a"), quotas=[quota("q", hard=hard, used=used)])
    assert bool(plan_on(inventory, model="e4b").pools) is fits
    assert plan_on(inventory, model="e4b", namespace="elsewhere").pools


def test_own_pods_do_not_count_against_the_quota():
    mine = pod("mine", on="a", gpus=1, deployment="chat", memory="12Gi", cpu="3")
    limits = [quota("q", hard={"requests.nvidia.com/gpu": "1"}, used={"requests.nvidia.com/gpu": "1"})]
    inventory = inventory_of(node("a"), pods=[mine], quotas=limits)
    assert plan_on(inventory, model="e4b").pools
    assert plan_on(inventory, name="other", model="e4b").blocked == "QuotaExceeded"


def test_quotas_of_a_priority_class_count_only_for_it():
    scope = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}]}
    inventory = inventory_of(node("a"), quotas=[quota("q", hard={"pods": "0"}, scopeSelector=scope)])
    assert plan_on(inventory, model="e4b").pools
    assert plan_on(inventory, model="e4b", pod={"priorityClassName": "low"}).blocked == "QuotaExceeded"


def test_an_accelerator_that_is_listed_and_absent_is_mentioned_beside_a_plan():
    plan = plan_on(inventory_of(node("a")), model="e4b", accelerators=["h100", "l4"])
    assert plan.pools[0].accelerator == "l4"
    assert "no node carries h100, which spec.accelerators lists" in plan.warnings
    assert rejection(plan, accelerator="h100").code == "NoSuchNode"
