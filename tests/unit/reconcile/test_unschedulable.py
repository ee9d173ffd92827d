"""Which replicas without a node are withdrawn, and when the clock stands still."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gemma_operator.reconcile.ages import Ages
from gemma_operator.reconcile.unschedulable import finds_no_node, overdue, waits


def pod(name: str, *, since: int | None = None, node: str = "", leaving: bool = False) -> dict[str, Any]:
    """A pod that found no node for so many seconds, or that has one."""
    conditions = []
    if since is not None:
        at = (datetime.now(UTC) - timedelta(seconds=since)).isoformat()
        conditions = [{"type": "PodScheduled", "status": "False", "lastTransitionTime": at}]
    metadata: dict[str, Any] = {"name": name, "uid": name, "creationTimestamp": f"2026-01-01T11:0{name[-1]}:00Z"}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"nodeName": node} if node else {},
        "status": {"conditions": conditions},
    }


def names(pods: list[dict[str, Any]], *, since_leaving: float | None = None) -> list[str]:
    ages = Ages()
    ages.look(1000.0)
    waited = waits(pods, ages=ages, since_leaving=since_leaving)
    return [each["metadata"]["name"] for each in overdue(pods, waited=waited, patience=60.0)]


def test_those_that_wait_too_long_go_newest_first() -> None:
    assert names([pod("a1", node="n"), pod("b2", since=90), pod("c3", since=70), pod("d4", since=10)]) == ["c3", "b2"]


def test_one_stays_where_none_has_a_node() -> None:
    assert names([pod("a1", since=90), pod("b2", since=90)]) == ["b2"]
    assert names([pod("a1", since=90)]) == []


def test_a_leaving_replica_holds_the_clock() -> None:
    pods = [pod("a1", node="n"), pod("b2", since=90)]
    assert names(pods, since_leaving=30) == []
    assert names(pods, since_leaving=61) == ["b2"]


def test_a_pod_with_a_node_or_on_its_way_out_waits_for_none() -> None:
    assert finds_no_node(pod("a1", since=5, node="n")) is None
    assert finds_no_node(pod("a1", since=5, leaving=True)) is None
    assert finds_no_node(pod("a1")) is None
