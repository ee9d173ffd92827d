"""What is free, what is promised, and to whom it counts as free."""

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.errors import ConfigurationError
from gemma_operator.inventory.build import FactsMemo, with_promises
from gemma_operator.inventory.parse import pod_facts
from gemma_operator.inventory.types import Amounts, DeploymentKey, Inventory, Placement, Promise

from tests.unit.inventory.builders import Object, affinity, node, pod, pool_deployment, quota, term
from tests.unit.planner.builders import inventory_of

GPU = "nvidia.com/gpu"
L4 = term("nvidia.com/gpu.product", "NVIDIA-L4")


def free(inventory: Inventory, *, owner: DeploymentKey = ("default", "nobody")) -> dict[str, int]:
    """GPUs by node."""
    return {node.name: node.free_for(owner).devices.get(GPU, 0) for node in inventory.nodes}


def promise(
    name: str = "chat", *, gpus: int = 1, replicas: int = 1, terms: tuple[Object, ...] = (L4,), pool: int = 0
) -> Promise:
    return Promise(
        namespace="default",
        name=name,
        pool=pool,
        replicas=replicas,
        requests=Amounts(cpu_millis=1000, memory=2**30, pods=1, devices={GPU: gpus}),
        placement=Placement(terms=tuple(terms)),
    )


def test_bound_pods_take_and_finished_ones_do_not():
    inventory = inventory_of(
        node("a"),
        pods=[
            pod("one", on="a", gpus=1),
            pod("done", on="a", gpus=1, phase="Succeeded"),
            pod("failed", on="a", gpus=1, phase="Failed"),
            pod("leaving", on="a", gpus=1, terminating=True),
        ],
    )
    assert free(inventory) == {"a": 2}


def test_pods_on_unknown_nodes_count_nowhere():
    assert free(inventory_of(node("a"), pods=[pod("lost", on="gone", gpus=4)])) == {"a": 4}


def test_a_waiting_gpu_pod_is_a_claim_on_the_tightest_node_that_takes_it():
    nodes = [node("a"), node("b", gpus=2), node("c", gpu="h100", gpus=1)]
    waiting = pod("waiting", gpus=2, affinity=affinity([L4]))
    assert free(inventory_of(*nodes, pods=[waiting])) == {"a": 4, "b": 0, "c": 1}


def test_a_waiting_pod_claims_only_where_it_may_go():
    nodes = [node("a", taints=[{"key": "team", "value": "x", "effect": "NoSchedule"}]), node("b", cordoned=True)]
    assert free(inventory_of(*nodes, pods=[pod("waiting", gpus=1)])) == {"a": 4, "b": 4}
    tolerating = pod("waiting", gpus=1, tolerations=[{"key": "team", "operator": "Exists"}])
    assert free(inventory_of(*nodes, pods=[tolerating])) == {"a": 3, "b": 4}


def test_a_claim_that_fits_nowhere_takes_nothing():
    assert free(inventory_of(node("a", gpus=2), pods=[pod("huge", gpus=4)])) == {"a": 2}


def test_waiting_pods_without_gpus_are_no_claims():
    inventory = inventory_of(node("a", cpu="4"), pods=[pod("web", cpu="3")])
    assert inventory.nodes[0].free.cpu_millis == 4000


def test_replicas_without_pods_are_claims():
    inventory = inventory_of(
        node("a"),
        pods=[pod("r0", on="a", gpus=1, deployment="chat", affinity=affinity([L4]))],
        deployments=[pool_deployment("chat", replicas=3)],
    )
    assert free(inventory) == {"a": 1}
    assert free(inventory, owner=("default", "chat")) == {"a": 4}, "its own pods and claims are free for itself"
    assert free(inventory, owner=("other", "chat")) == {"a": 1}, "a namesake elsewhere is another deployment"


def test_an_unbound_replica_is_counted_once():
    inventory = inventory_of(
        node("a"),
        pods=[pod("r0", gpus=1, deployment="chat", affinity=affinity([L4]))],
        deployments=[pool_deployment("chat", replicas=1)],
        promises=[promise()],
    )
    assert free(inventory) == {"a": 3}


def test_a_promise_counts_until_pods_stand_for_it():
    claimed = inventory_of(node("a"), promises=[promise(replicas=2)])
    assert free(claimed) == {"a": 2}
    started = inventory_of(
        node("a"),
        pods=[pod(f"r{i}", on="a", gpus=1, deployment="chat", affinity=affinity([L4])) for i in range(2)],
        promises=[promise(replicas=2)],
    )
    assert free(started) == {"a": 2}


def test_old_and_new_pool_both_count_while_one_replaces_the_other():
    h100 = term("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3")
    inventory = inventory_of(
        node("a"),
        node("h", gpu="h100", gpus=2),
        pods=[pod("r0", on="a", gpus=1, deployment="chat", affinity=affinity([L4]))],
        deployments=[pool_deployment("chat", replicas=1)],
        promises=[promise(gpus=2, terms=(h100,))],
    )
    assert free(inventory) == {"a": 3, "h": 0}


def test_promises_are_added_without_counting_twice():
    inventory = inventory_of(node("a"))
    once = with_promises(inventory, [promise(replicas=2)])
    assert free(once) == {"a": 2}
    assert free(with_promises(once, [promise(replicas=2)])) == {"a": 2}
    assert free(with_promises(once, [promise("other")])) == {"a": 1}
    assert free(inventory) == {"a": 4}, "inventories do not change"


def test_large_claims_are_placed_first():
    inventory = inventory_of(node("a", gpus=4), node("b", gpus=2), promises=[promise("small"), promise("wide", gpus=4)])
    assert free(inventory) == {"a": 0, "b": 1}


PROVISIONABLE = OperatorConfig.model_validate(
    {"provisionable": [{"accelerator": "h100", "gpusPerNode": 8, "nodes": 2, "labels": {"pool": "h100"}}]}
)


def test_nodes_to_be_added_are_counted_and_claimed_one_by_one():
    terms = (term("pool", "h100"),)
    inventory = inventory_of(node("a"), config=PROVISIONABLE)
    assert [(n.count, n.free.devices[GPU]) for n in inventory.nodes if n.provisionable] == [(2, 8)]
    claimed = with_promises(inventory, [promise(gpus=6, terms=terms)])
    assert [(n.count, n.free.devices[GPU]) for n in claimed.nodes if n.provisionable] == [(1, 2), (1, 8)]
    twice = with_promises(claimed, [promise("other", gpus=6, replicas=2, terms=terms)])
    assert sorted(n.free.devices[GPU] for n in twice.nodes if n.provisionable) == [2, 2]


def test_nodes_that_exist_are_claimed_before_those_to_be_added():
    terms = (term("pool", "h100"),)
    inventory = inventory_of(
        node("h", gpu="h100", gpus=8, labels={"pool": "h100"}),
        config=PROVISIONABLE,
        promises=[promise(gpus=8, terms=terms)],
    )
    assert [n.free.devices[GPU] for n in inventory.nodes] == [0, 8]


def test_unknown_provisionable_accelerator_is_named():
    config = OperatorConfig.model_validate({"provisionable": [{"accelerator": "h1000", "gpusPerNode": 8, "nodes": 2}]})
    with pytest.raises(
        ConfigurationError, match=r"provisionable\[0\].accelerator 'h1000' is not in the hardware table"
    ):
        inventory_of(node("a"), config=config)


def test_quotas_lose_what_claims_without_pods_will_take():
    limits = [quota("gpus", hard={"requests.nvidia.com/gpu": "4", "pods": "10"}, used={"requests.nvidia.com/gpu": "1"})]
    inventory = inventory_of(node("a"), quotas=limits, deployments=[pool_deployment("chat", replicas=2)])
    assert inventory.quotas["default"][0].left == {"pods": 8, "requests.nvidia.com/gpu": 1}
    assert inventory.quota_held[("default", "chat")].devices == {GPU: 2}


@pytest.mark.parametrize(
    "spec",
    [
        {"scopes": ["BestEffort"]},
        {"scopes": ["Terminating"]},
        {"scopeSelector": {"matchExpressions": [{"scopeName": "Terminating", "operator": "Exists"}]}},
    ],
)
def test_quotas_for_other_pods_are_left_out(spec):
    assert inventory_of(node("a"), quotas=[quota("q", hard={"pods": "0"}, **spec)]).quotas == {}


def test_readiness_cordon_and_missing_conditions():
    bare = node("bare")
    del bare["status"]["conditions"]
    inventory = inventory_of(node("a"), bare, node("cordoned", cordoned=True), node("down", ready=False))
    assert {n.name: n.unavailable for n in inventory.nodes} == {
        "a": "",
        "bare": "",
        "cordoned": "cordoned",
        "down": "NotReady",
    }


def test_a_memo_gives_the_same_inventory_and_parses_an_object_once():
    memo = FactsMemo()
    stamped = [
        {**obj, "metadata": {**obj["metadata"], "uid": f"u{number}", "resourceVersion": "1"}}
        for number, obj in enumerate([pod("one", on="a", gpus=1), pod("two", on="a", gpus=1)])
    ]
    first = inventory_of(node("a"), pods=stamped, memo=memo)
    assert first == inventory_of(node("a"), pods=stamped)
    known = memo.get("Pod", stamped[0], pod_facts)
    assert memo.get("Pod", stamped[0], pod_facts) is known
    changed = {
        **stamped[0],
        "metadata": {**stamped[0]["metadata"], "resourceVersion": "2"},
        "status": {"phase": "Failed"},
    }
    assert free(inventory_of(node("a"), pods=[changed, stamped[1]], memo=memo)) == {"a": 3}


def test_a_new_shape_overlaps_what_its_own_replicas_hold_and_nobody_elses():
    own = pod("r0", on="a", gpus=2, deployment="chat", affinity=affinity([L4]))
    before = inventory_of(node("a"), pods=[own])
    wider = with_promises(before, [promise(gpus=4)])
    assert free(wider) == {"a": 0}, "nothing is left for others"
    assert free(wider, owner=("default", "chat")) == {"a": 4}
    crowded = inventory_of(node("a"), pods=[own, pod("other", on="a", gpus=1)])
    assert free(with_promises(crowded, [promise(gpus=4)])) == {"a": 1}, "it does not fit: it takes nothing"


def test_a_replacement_overlaps_the_replica_that_is_leaving():
    leaving = pod("r0", on="a", gpus=4, deployment="chat", terminating=True, affinity=affinity([L4]))
    waiting = pod("r1", gpus=4, deployment="chat", affinity=affinity([L4]))
    inventory = inventory_of(node("a"), pods=[leaving, waiting])
    assert free(inventory) == {"a": 0}
    assert free(inventory, owner=("default", "chat")) == {"a": 4}


def test_more_replicas_of_the_same_shape_do_not_overlap():
    own = pod("r0", on="a", gpus=2, deployment="chat", affinity=affinity([L4]))
    inventory = inventory_of(
        node("a", gpus=4), pods=[own, pod("other", on="a", gpus=1)], promises=[promise(gpus=2, replicas=2)]
    )
    assert free(inventory) == {"a": 1}


class TestStaticInventory:
    """Nodes that the configuration lists: pods stand on real ones, whose names nobody may read."""

    CONFIG = OperatorConfig.model_validate(
        {
            "namespaces": ["default"],
            "inventory": {
                "source": "static",
                "nodes": [
                    {"accelerator": "l4", "gpusPerNode": 4, "nodes": 2, "labels": {"gpu": "l4"}},
                    {"accelerator": "h100", "gpusPerNode": 8, "nodes": 1, "labels": {"gpu": "h100"}},
                ],
            },
        }
    )
    L4 = term("gpu", "l4")

    def free(self, *pods: Object, promises: tuple[Promise, ...] = (), owner: str = "nobody") -> list[int]:
        made = inventory_of(node("real", gpus=64), pods=list(pods), promises=list(promises), config=self.CONFIG)
        return [each.free_for(("default", owner)).devices[GPU] for each in made.nodes]

    def test_what_the_cluster_has_is_not_looked_at(self):
        made = inventory_of(node("real", gpus=64), config=self.CONFIG)
        assert [each.name for each in made.nodes] == [
            "inventory-000-l4-000",
            "inventory-000-l4-001",
            "inventory-001-h100-000",
        ]
        assert not any(each.provisionable for each in made.nodes)
        assert [each.terms for each in made.nodes[0].carries if each.resource] == [(self.L4,)]

    def test_pods_that_run_take_gpus_of_nodes_that_they_may_stand_on(self):
        runs = pod("r0", on="somewhere", gpus=3, deployment="chat", affinity=affinity([self.L4]))
        assert self.free(runs) == [1, 4, 8]
        assert self.free(runs, owner="chat") == [4, 4, 8]
        foreign = pod("train", on="elsewhere", gpus=8, nodeSelector={"gpu": "h100"})
        assert self.free(runs, foreign) == [1, 4, 0]

    def test_pods_that_leave_hold_their_gpus_until_they_are_gone(self):
        assert self.free(pod("r0", on="x", gpus=4, terminating=True, nodeSelector={"gpu": "l4"})) == [0, 4, 8]
        assert self.free(pod("r0", gpus=4, terminating=True, nodeSelector={"gpu": "l4"})) == [4, 4, 8]

    def test_running_pods_have_their_place_before_waiting_ones(self):
        small = pod("runs", on="x", gpus=1, nodeSelector={"gpu": "h100"})
        large = pod("waits", gpus=8, nodeSelector={"gpu": "h100"})
        assert self.free(small, large) == [4, 4, 7]

    def test_pods_of_namespaces_that_are_not_watched_are_unknown(self):
        assert self.free(pod("other", on="x", gpus=4, namespace="other")) == [4, 4, 8]

    def test_a_promise_is_counted_until_its_pod_runs(self):
        promised = promise(gpus=2, terms=(self.L4,))
        runs = pod("r0", on="x", gpus=2, deployment="chat", affinity=affinity([self.L4]))
        assert self.free(promises=(promised,)) == self.free(runs, promises=(promised,)) == [2, 4, 8]

    def test_an_unknown_accelerator_is_named_with_its_place(self):
        wrong = {"accelerator": "l5", "gpusPerNode": 1, "nodes": 1, "labels": {"gpu": "l5"}}
        config = OperatorConfig.model_validate({"inventory": {"source": "static", "nodes": [wrong]}})
        with pytest.raises(ConfigurationError, match=r"inventory\.nodes\[0\]\.accelerator 'l5'"):
            inventory_of(config=config)
