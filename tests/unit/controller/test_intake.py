"""Which routers an event concerns: one whose engines do not all run the plan's number of requests."""

from typing import Any, cast

import pytest
from gemma_operator.cluster.resources import PODS
from gemma_operator.cluster.store import Key
from gemma_operator.controller.intake import Intake
from gemma_operator.controller.queue import WorkQueue

from tests.unit.inventory.builders import pod
from tests.unit.reconcile.looks import Cluster
from tests.unit.reconcile.test_routes import engine, planned


class Keys:
    """A queue that only remembers."""

    def __init__(self) -> None:
        self.added: list[Key] = []

    def add(self, key: Key) -> None:
        self.added.append(key)

    def add_after(self, key: Key, delay: float) -> None:
        assert delay > 0
        self.added.append(key)


def intake(cluster: Cluster) -> tuple[Intake, Keys]:
    """An intake that queues, and the routers that it has queued."""
    routers = Keys()
    made = Intake(cluster.world, deployments=cast(WorkQueue[Key], Keys()), routers=cast(WorkQueue[Key], routers))
    made.queues = True
    return made, routers


@pytest.mark.parametrize("terminates", [True, False])
def test_routes_follow_when_the_last_engine_with_another_limit_goes(terminates: bool) -> None:
    cluster = Cluster(running=0)
    old = engine("old", f"--max-num-seqs={planned(cluster) // 2}")
    cluster.world.stores[PODS].upsert(old)
    taking, routers = intake(cluster)
    gone: dict[str, Any] = {**old, "metadata": {**old["metadata"], "resourceVersion": "2"}}
    if terminates:
        gone["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    taking.take(PODS, gone, not terminates)
    assert routers.added == [("default", "gemma-router")]


def test_routes_follow_when_only_a_list_shows_that_such_an_engine_goes() -> None:
    cluster = Cluster(running=0)
    taking, routers = intake(cluster)
    leaving = engine("old", f"--max-num-seqs={planned(cluster) // 2}", terminating=True)
    taking.announce(PODS, before=None, after=leaving)
    assert routers.added == [("default", "gemma-router")]


def test_a_pod_of_anybody_is_taken_in() -> None:
    cluster = Cluster(running=0)
    taking, routers = intake(cluster)
    theirs = pod("theirs", on="a", gpus=1)
    theirs["metadata"] |= {"uid": "theirs", "resourceVersion": "1"}
    taking.take(PODS, theirs, False)
    assert routers.added == []


def test_ordinary_scaling_changes_no_route() -> None:
    cluster = Cluster(running=0)
    taking, routers = intake(cluster)
    one = engine("one", f"--max-num-seqs={planned(cluster)}")
    taking.take(PODS, one, False)
    taking.take(PODS, {**one, "metadata": {**one["metadata"], "resourceVersion": "2"}}, True)
    assert routers.added == []


def test_an_engine_without_a_router_concerns_none() -> None:
    cluster = Cluster(running=0, router={"enabled": False})
    taking, routers = intake(cluster)
    taking.take(PODS, engine("one", "--max-num-seqs=1"), False)
    assert routers.added == []
