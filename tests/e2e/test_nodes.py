"""Nodes that are drained, reclaimed and lost, each with a replica and a router pod on it."""

import time

import pytest

from tests.e2e.conftest import Disturbance
from tests.e2e.load import load
from tests.e2e.loaded import deploy
from tests.e2e.nodes import (
    comes_back,
    decided,
    drain,
    endpoints_on,
    engine_nodes,
    kill,
    pods_on,
    ready_on,
    replicas_watched,
    router_on,
)
from tests.e2e.objects import engine_pods, leader, until_ready
from tests.kubectl import Kubectl, conditions, eventually

pytestmark = pytest.mark.long
RECLAIM_SECONDS = 120
"""What clouds give a spot node between the notice and its end."""
SPREADS_SECONDS = 5
"""From an EndpointSlice to the last kube-proxy and router."""


def test_a_drain_cuts_nothing_and_is_replaced_once(kubectl: Kubectl, namespace: str, disturbance: Disturbance) -> None:
    """`kubectl drain` of the whole node of the only replica, which stays cordoned until the test ends."""
    deploy(kubectl, namespace, scaling={"max": 1})
    [pod] = engine_pods(kubectl, namespace, "chat")
    node = pod["spec"]["nodeName"]
    router_on(kubectl, namespace, node)
    with (
        comes_back(kubectl, node),
        replicas_watched(kubectl, namespace, "chat") as seen,
        load(kubectl, namespace, "chat", rate=0.5, tokens=60) as running,
    ):
        with disturbance():
            drain(kubectl, node, seconds=240)
        assert pods_on(kubectl, node) == []
        obj = until_ready(kubectl, namespace, "chat")
        [now] = engine_pods(kubectl, namespace, "chat")
        assert now["metadata"]["uid"] != pod["metadata"]["uid"]
        assert now["spec"]["nodeName"] != node
    running.check(at_least=5)
    assert seen.most <= 2, f"{seen.most} replicas for the one that is wanted"
    assert all(each["after"] == 1 for each in obj["status"].get("decisions", ())), decided(obj)


def workers(kubectl: Kubectl, namespace: str) -> tuple[str, str]:
    """The worker with the operator that works, and the other one; on both are a replica and a router pod."""
    deploy(kubectl, namespace, scaling={"min": 2, "max": 3})
    nodes = engine_nodes(kubectl, namespace, "chat")
    assert len(set(nodes)) == 2, nodes
    for node in nodes:
        router_on(kubectl, namespace, node)
    with_it = eventually(lambda: leader(kubectl), seconds=60, what="an operator works")["spec"]["nodeName"]
    return with_it, next(node for node in nodes if node != with_it)


@pytest.mark.parametrize("notice", ["drained", "tainted"])
def test_a_reclaimed_node_costs_no_stream(kubectl: Kubectl, namespace: str, notice: str) -> None:
    """Spot: evictions one after the other, or all pods deleted at once, operator included; then the node is gone."""
    with_operator, other = workers(kubectl, namespace)
    node, stays = (other, with_operator) if notice == "drained" else (with_operator, other)
    with (
        comes_back(kubectl, node),
        replicas_watched(kubectl, namespace, "chat") as seen,
        load(kubectl, namespace, "chat", rate=0.4, tokens=60) as running,
    ):
        if notice == "drained":
            drain(kubectl, node, seconds=RECLAIM_SECONDS)
        else:
            kubectl("taint", "node", node, "reclaimed=soon:NoExecute")
        eventually(
            lambda: pods_on(kubectl, node), until=lambda pods: not pods, seconds=RECLAIM_SECONDS, what="all pods end"
        )
        kill(node)
        kubectl("delete", "node", node)
        ready_on(kubectl, namespace, "chat", node=stays, replicas=2, seconds=120)
        obj = until_ready(kubectl, namespace, "chat")
    running.check(at_least=5)
    assert seen.most <= 3, f"{seen.most} replicas for the two that are wanted"
    assert all(each["after"] <= 3 for each in obj["status"].get("decisions", ())), decided(obj)


@pytest.mark.parametrize("how", ["killed", "deleted"])
def test_a_node_that_vanishes_costs_only_what_ran_there(kubectl: Kubectl, namespace: str, how: str) -> None:
    """Its power is cut; in the second case the cloud deletes its Node too, and the operator was on it.

    One load goes to the router that stays: what begins after the loss is answered, by the engine that stays. The other
    goes to the Service, which leads to the lost router as well until Kubernetes notices.
    """
    with_operator, other = workers(kubectl, namespace)
    node, stays = (other, with_operator) if how == "killed" else (with_operator, other)
    left = router_on(kubectl, namespace, stays)["status"]["podIP"]
    with comes_back(kubectl, node):
        with (
            replicas_watched(kubectl, namespace, "chat") as seen,
            load(kubectl, namespace, "chat", rate=0.2, tokens=36) as running,
            load(kubectl, namespace, "chat", rate=0.2, tokens=36, url=f"http://{left}:4000", pod="direct") as direct,
        ):
            until_busy(kubectl, namespace)
            kill(node)
            killed = time.time()
            if how == "deleted":
                kubectl("delete", "node", node)
            eventually(
                lambda: endpoints_on(kubectl, namespace, node),
                until=lambda found: not found,
                seconds=90,
                what="no Service leads to the lost node",
            )
            noticed = time.time()
            if how == "killed":
                until_told(kubectl, namespace, node)
            ready_on(kubectl, namespace, "chat", node=stays, replicas=2, seconds=400)
            obj = until_ready(kubectl, namespace, "chat")
        print(f"by the Service: {running}; by the router that stays: {direct}; noticed after {noticed - killed:.0f} s")
        print(f"replicas at once: {seen.most}")
        assert max(direct.lost, default=0.0) <= killed, direct.results
        assert max(running.lost, default=0.0) <= noticed + SPREADS_SECONDS, running.results
        assert seen.most <= 3, f"{seen.most} replicas for the two that are wanted"
        assert all(each["after"] <= 3 for each in obj["status"].get("decisions", ())), decided(obj)
        with load(kubectl, namespace, "chat", rate=1, tokens=24, count=30) as after:
            pass
        after.check(at_least=30)


def until_busy(kubectl: Kubectl, namespace: str) -> None:
    """Return once the operator has seen requests run."""
    eventually(
        lambda: kubectl.get("gdep", "chat", namespace=namespace)["status"].get("queue", {}),
        until=lambda queue: queue.get("running"),
        seconds=120,
        what="requests run",
    )


def until_told(kubectl: Kubectl, namespace: str, node: str) -> None:
    """Return once status tells of the lost replica."""
    obj = eventually(
        lambda: kubectl.get("gdep", "chat", namespace=namespace),
        until=lambda obj: obj["status"]["readyReplicas"] == 1 and conditions(obj)["Ready"]["reason"] == "NodeLost",
        seconds=60,
        what="status counts one replica and says why",
    )
    assert node in conditions(obj)["Ready"]["message"]
    assert conditions(obj)["Stalled"]["status"] == "False"
