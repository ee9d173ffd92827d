"""The scaler's look at one deployment: reports of faked engines and routers in, a bounded target out."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, PODS
from gemma_operator.cluster.scrape import RouterReport, Scraper
from gemma_operator.inventory.types import Inventory
from gemma_operator.reconcile import signals
from gemma_operator.reconcile.ages import Ages
from gemma_operator.reconcile.planning import inventory
from gemma_operator.reconcile.scaler import subjects

from tests.unit.inventory.builders import node, pod
from tests.unit.planner.builders import inventory_of, plan_on
from tests.unit.reconcile.looks import BUSY, IDLE, AnsweringRouters, Cluster, set_clock


def test_a_lasting_queue_grows_as_far_as_gpus_go_and_promises_them() -> None:
    cluster = Cluster(gpus=3, scaling={"max": 8})
    cluster.look(times=40)
    assert cluster.scaler.target == 3, cluster.scaler.decisions
    assert cluster.world.promises["default", "chat"][0].replicas == 3
    assert cluster.scaler.limit == "no more free l4"
    assert cluster.scaler.wished > 3
    assert (cluster.scaler.queue.running, cluster.scaler.queue.waiting) == (2, 40)


def test_the_cost_cap_bounds_and_is_named() -> None:
    price = plan_on(inventory_of(node("a")), model="e4b", precision="bf16").pools[0].cost_per_hour
    assert price is not None
    cluster = Cluster(gpus=4, scaling={"max": 8}, maxCostPerHour=2 * price)
    cluster.look(times=40)
    assert cluster.scaler.target == 2
    assert cluster.scaler.limit == "maxCostPerHour allows 2"


def test_a_cost_cap_below_one_replica_takes_nothing_that_runs() -> None:
    """The plan does not hold any more, and says so; replicas that serve go on meanwhile."""
    cluster = Cluster(gpus=4, scaling={"max": 8})
    [subject] = subjects(cluster.world)
    cluster.change({**subject.obj["spec"], "maxCostPerHour": 0.01})
    cluster.look(times=40)
    assert cluster.scaler.target == 1
    assert not cluster.scaler.decisions


def test_silence_changes_nothing_and_is_told() -> None:
    cluster = Cluster(gpus=3)
    cluster.scraper.report = None
    assert cluster.look()
    assert cluster.scaler.target == 1
    assert "no fresh metrics" in cluster.scaler.blind
    cluster.scraper.report = IDLE
    assert cluster.look()
    assert cluster.scaler.blind == ""


def test_one_missing_answer_is_no_silence() -> None:
    """A sample counts until it is half a minute old."""
    cluster = Cluster(gpus=3)
    cluster.scraper.report = IDLE
    cluster.look(times=4)
    cluster.scraper.report = None
    cluster.look(times=4)
    assert cluster.scaler.blind == ""
    cluster.look(times=6)
    assert "no fresh metrics" in cluster.scaler.blind


def test_nothing_sleeps_on_an_answer_of_before() -> None:
    cluster = Cluster(gpus=1, scaling={"min": 0, "idleBefore0": "30s"})
    cluster.scraper.report = IDLE
    cluster.look(times=5)
    cluster.scraper.report = None
    cluster.look(times=4)
    assert cluster.scaler.target == 1


def test_replicas_are_withdrawn_once() -> None:
    """Their pods are there for a while after fewer are asked for."""
    cluster = Cluster(gpus=2, running=2, scaling={"min": 2, "max": 8})
    cluster.scraper.report = IDLE
    for number in range(5):
        cluster.add_pod(f"chat-0-new-{number}", placed=False)
    cluster.ask_for(7)
    cluster.look(times=16)
    assert cluster.scaler.target == 2
    assert "7 → 2: the scheduler found no node" in cluster.scaler.decisions[0][1].reason
    cluster.ask_for(2)
    cluster.look(times=20)
    assert cluster.scaler.target == 2
    assert len(cluster.scaler.decisions) == 1


def test_nothing_is_withdrawn_in_a_rollout() -> None:
    """Whoever scales down a Deployment with two versions loses the oldest replica, which serves."""
    cluster = Cluster(gpus=2, running=1, scaling={"min": 2, "max": 4})
    cluster.scraper.report = IDLE
    cluster.add_pod("chat-0-new", placed=False)
    cluster.ask_for(2)
    [deployment] = cluster.world.stores[DEPLOYMENTS]
    deployment["status"] = {"replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}
    cluster.look(times=30)
    assert cluster.scaler.target == 2
    deployment["status"]["updatedReplicas"] = 2
    cluster.look()
    assert cluster.scaler.target == 1


def test_another_candidate_is_tried_when_none_of_its_pods_gets_a_node() -> None:
    cluster = Cluster(gpus=1, running=0)
    cluster.add_pod("chat-0-old")
    cluster.add_pod("chat-0-new", placed=False)
    cluster.look()
    assert not cluster.scaler.stranded, "one has a node"
    [old] = [pod for pod in cluster.world.stores[PODS] if pod["metadata"]["name"] == "chat-0-old"]
    old["metadata"]["deletionTimestamp"] = datetime.now(UTC).isoformat()
    cluster.look(times=20)
    assert not cluster.scaler.stranded, "the one that leaves still holds the GPU"
    cluster.world.stores[PODS].remove(old)
    cluster.look(times=10)
    assert not cluster.scaler.stranded, "the scheduler needs a moment"
    cluster.client.events = [{"reason": "TriggeredScaleUp"}]
    cluster.look(times=20)
    assert not cluster.scaler.stranded, "an autoscaler adds a node"
    cluster.client.events = []
    assert cluster.look()
    assert cluster.scaler.stranded


def test_a_decision_that_is_not_carried_out_yet_is_told_once() -> None:
    cluster = Cluster(gpus=8, scaling={"max": 3})
    cluster.look(times=60)
    assert [made.after for _, made in cluster.scaler.decisions] == [3]
    assert any(cluster.look() for _ in range(3)), "it asks for being carried out"


def test_a_moment_without_readiness_is_no_start() -> None:
    """Five hours old, unready for a moment, and met by a new process: it did not take five hours to start."""
    cluster = Cluster(gpus=3, status={"startup": {"p50Seconds": 40, "p90Seconds": 50, "samples": 3}})
    [made] = cluster.world.stores[PODS]
    made["metadata"]["creationTimestamp"] = (datetime.now(UTC) - timedelta(hours=5)).isoformat()
    cluster.scraper.report = IDLE
    cluster.look(times=4)
    made["status"]["conditions"][0]["status"] = "False"
    cluster.look(times=2)
    made["status"]["conditions"][0]["status"] = "True"
    cluster.look(times=4)
    assert not cluster.scaler.starts
    assert cluster.scaler.state.startup == 50, "as status says"


@pytest.mark.parametrize("started", [False, True], ids=["loading", "started and not ready yet"])
def test_a_start_is_measured_once_it_ends(started: bool) -> None:
    cluster = Cluster(gpus=3, running=1, loading=1)
    cluster.scraper.report = IDLE
    loading = next(each for each in cluster.world.stores[PODS] if "loading" in each["metadata"]["name"])
    loading["status"]["containerStatuses"][0]["started"] = started
    cluster.look(times=2)
    loading["status"]["containerStatuses"][0]["started"] = True
    loading["status"]["conditions"][0] = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": (datetime.now(UTC) + timedelta(seconds=90)).isoformat(),
    }
    cluster.look(times=2)
    assert cluster.scaler.starts[loading["metadata"]["uid"]] == pytest.approx(90, abs=5)


def test_a_replica_that_hangs_is_named_whoever_decides_the_number() -> None:
    cluster = Cluster(gpus=3, replicas=1)
    cluster.look(times=40)
    assert cluster.scaler.hung == ("chat-0-0",)
    cluster.scraper.report = IDLE
    assert cluster.look()
    assert cluster.scaler.hung == ()


def test_it_sleeps_when_idle_and_wakes_for_one_held_request() -> None:
    cluster = Cluster(gpus=1, scaling={"min": 0, "idleBefore0": "30s"})
    cluster.scraper.report = IDLE
    cluster.look(times=20)
    assert cluster.scaler.target == 0
    awake = Cluster(gpus=1, running=0, scaling={"min": 0})
    awake.look()
    assert awake.scaler.target == 0
    awake.held = 1
    assert awake.look(), "the first look with a held request decides"
    assert awake.scaler.target == 1
    assert awake.scaler.decisions[0][1].before == 0


def test_it_wakes_for_what_one_router_holds_while_the_other_is_silent() -> None:
    cluster = Cluster(gpus=4, running=0, scaling={"min": 0})
    cluster.look(times=2)
    cluster.held, cluster.silent = 20, 1
    assert cluster.look()
    assert cluster.scaler.target == 1


def test_what_a_draining_router_holds_is_known() -> None:
    cluster = Cluster()
    for name, ready in (("router-0", True), ("router-1", False)):
        cluster.add_router_pod(name, ready=ready)
    answers = cast(Scraper, AnsweringRouters({"chat": RouterReport(in_flight=1, held=10)}))
    key = ("default", "gemma-router")
    view = asyncio.run(signals.read_routers(cluster.world, answers, [key]))[key]
    assert (view.pods, view.silent) == (1, 0)
    counts = view.counts("chat")
    assert counts is not None
    assert (counts.in_flight, counts.held) == (2, 20)


def test_a_silent_router_keeps_it_awake() -> None:
    cluster = Cluster(gpus=1, scaling={"min": 0, "idleBefore0": "30s"})
    cluster.scraper.report, cluster.held = IDLE, None
    cluster.look(times=20)
    assert cluster.scaler.target == 1


def test_a_sleeper_without_a_free_gpu_asks_for_another_plan() -> None:
    cluster = Cluster(gpus=1, running=0, scaling={"min": 0})
    theirs = pod("theirs", on="a", gpus=1)
    theirs["metadata"] |= {"uid": "theirs", "resourceVersion": "1"}
    cluster.world.stores[PODS].upsert(theirs)
    cluster.held = 2
    cluster.look()
    assert cluster.scaler.asleep_without_room
    assert cluster.scaler.target == 1


def test_who_leaves_first_is_marked() -> None:
    cluster = Cluster(gpus=3, running=3, scaling={"min": 0, "idleBefore0": "30s"})
    cluster.scraper.report = IDLE
    cluster.look(times=20)
    assert cluster.scaler.target == 0
    assert {name for name, _ in cluster.client.patched} == {"chat-0-0", "chat-0-1", "chat-0-2"}


@pytest.mark.parametrize("spec", [{"replicas": 2}, {"replicas": 1, "scaling": {"mode": "external"}}])
def test_a_number_of_somebody_else_is_left_alone(spec: dict[str, Any]) -> None:
    cluster = Cluster(gpus=3, **spec)
    cluster.look(times=40)
    assert cluster.scaler.target is None
    assert not cluster.scaler.decisions
    assert cluster.scaler.queue.waiting == 40, "the queue is shown all the same"


@pytest.mark.parametrize("hours", [-3, 3])
def test_replicas_that_load_are_no_older_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Three hours old they would count as stuck, and be ordered once more."""
    cluster = Cluster(gpus=8, running=1, loading=2, scaling={"max": 8})
    cluster.scraper.report = IDLE
    cluster.look(times=4)
    set_clock(monkeypatch, hours=hours)
    cluster.add_pod("chat-0-late", ready=False)
    cluster.look(times=8)
    assert cluster.scaler.target == 3
    assert not cluster.scaler.decisions


def test_the_queue_is_shown_when_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.scraper.report = IDLE
    cluster.look(times=2)
    assert cluster.scaler.queue.waiting == 0
    set_clock(monkeypatch, hours=-3)
    cluster.scraper.report = BUSY
    cluster.look(times=8)
    assert cluster.scaler.queue.waiting == 40


def test_since_when_a_pod_is_ready_is_told_on_the_clock_of_its_sample() -> None:
    """What a pod that was Ready for long counted before it was first read is no burst of requests."""
    cluster = Cluster()
    [made] = cluster.world.stores[PODS]
    made["status"]["conditions"][0]["lastTransitionTime"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    seen = Ages()
    seen.look(50.0)
    [sample] = asyncio.run(signals.read_engines(cast(Scraper, cluster.scraper), [made], at=50.0, ages=seen))
    assert sample.ready_at == pytest.approx(50 - 3600, abs=5)


@pytest.mark.parametrize("goes", ["namespace", "GemmaDeployment"])
def test_a_deployment_that_goes_holds_only_what_its_pods_have(goes: str) -> None:
    """With one replica running and two asked for, more is claimed than runs, until nothing is made of it any more."""
    cluster = Cluster(gpus=3, running=1)
    cluster.ask_for(2)

    def claimed() -> int:
        return sum(asyncio.run(inventory(cluster.world)).counted.values())

    assert claimed() > 1
    if goes == "namespace":
        cluster.world.events.ending.add("default")
    else:
        [obj] = cluster.world.stores[GEMMA_DEPLOYMENTS]
        cluster.world.stores[GEMMA_DEPLOYMENTS].remove(obj)
    assert claimed() == 1


def test_an_inventory_is_built_once_until_the_cluster_or_a_promise_changes() -> None:
    cluster = Cluster(gpus=3)

    def stock() -> Inventory:
        return asyncio.run(inventory(cluster.world))

    first = stock()
    assert stock() is first
    [subject] = subjects(cluster.world)
    cluster.world.promises["default", "other"] = (replace(subject.pool, replicas=2),)
    promised = stock()
    [free] = [each.free.devices["nvidia.com/gpu"] for each in promised.nodes]
    assert free == 0
    cluster.add_pod("chat-0-more")
    assert stock() is not promised
