"""The operator follows engines and routers that report a load: steps, shortages, rivals, silence, a clock that is set.

kwok's pods have addresses of this machine, and what answers there follows a model of load (engines.py).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from gemma_operator.reconcile.unschedulable import GRACE_SECONDS, finds_no_node
from localk8s.controlplane import ControlPlane
from localk8s.kwok import DELAY

from tests.integration import fleet
from tests.integration.engines import Engines, Load
from tests.integration.operator_process import Operator
from tests.integration.replicas import Replicas
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

CONFIG: Object = {
    "provisionable": [{"accelerator": "l40s", "gpusPerNode": 1, "nodes": 1}],
    # Longer than the grace that a pod gets where nothing is provisionable.
    "provisioningSeconds": 75,
}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def engines(kubectl: Kubectl) -> Iterator[Engines]:
    with Engines(kubectl) as running:
        yield running


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the seconds by which the operator's wall clock is wrong."""
    file = tmp_path_factory.mktemp("clock") / "wrong-by"
    file.write_text("0")
    return file


@pytest.fixture(scope="module")
def operator(
    control_plane: ControlPlane,
    kubectl: Kubectl,
    engines: Engines,
    clock: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Operator]:
    at = engines.cidr
    kubectl.apply(
        *(fleet.l4(f"l4-{index}", count=8, cpu="256", pod_cidr=at) for index in range(6)),
        *(fleet.a100_40(f"a100-{index}", count=13, cpu="256", pod_cidr=at) for index in range(4)),
        fleet.h100("h100", count=5, pod_cidr=at),
        fleet.l40s("l40s", count=1, pod_cidr=at),
        fleet.plain("plain", pod_cidr=at),
    )
    folder = tmp_path_factory.mktemp("operator")
    try:
        with Operator(kubeconfig=control_plane.kubeconfig, folder=folder, config=CONFIG, clock=clock) as running:
            yield running
        assert "unexpected error" not in running.log()
    finally:
        kubectl("delete", "nodes", "--all")


@pytest.fixture(autouse=True)
def free_gpus(operator: Operator, kubectl: Kubectl) -> None:
    """What the tests before asked for is gone; their namespaces can take minutes."""
    kubectl("delete", "gdep", "--all", "-A", "--wait=false")
    eventually(
        lambda: kubectl.find("gdep,pods"), until=lambda left: not left, seconds=120, what="all GPUs are free again"
    )


def serve(kubectl: Kubectl, engines: Engines, namespace: str, name: str, spec: Object) -> Load:
    """Apply a GemmaDeployment; its load, in engines that run as many requests at once as was planned."""
    kubectl.apply(gemma(name, {"model": "e2b", **spec}), namespace=namespace)
    obj = eventually(
        lambda: kubectl.get("gdep", name, namespace=namespace),
        until=lambda now: now.get("status", {}).get("plan", {}).get("pools"),
        seconds=30,
        what=f"{name} is planned",
    )
    return engines.add(namespace, name, seats=obj["status"]["plan"]["pools"][0]["maxNumSeqs"])


def status(kubectl: Kubectl, namespace: str, name: str) -> Object:
    found: Object = kubectl.get("gdep", name, namespace=namespace).get("status", {})
    return found


def until(kubectl: Kubectl, namespace: str, name: str, *, ready: str, seconds: float) -> Object:
    """Status once so many replicas are Ready of so many that are asked for."""
    return eventually(
        lambda: status(kubectl, namespace, name),
        until=lambda now: now.get("ready") == ready,
        seconds=seconds,
        what=f"{name} has {ready} replicas",
    )


def scaling_active(kubectl: Kubectl, namespace: str, name: str, *, reason: str) -> Object:
    """The condition once it has this reason."""
    return eventually(
        lambda: conditions(kubectl.get("gdep", name, namespace=namespace))["ScalingActive"],
        until=lambda now: now["reason"] == reason,
        seconds=60,
        what=f"ScalingActive of {name} is {reason}",
    )


def waited_for_a_node(kubectl: Kubectl, namespace: str, name: str) -> float:
    """The longest that one of its pods has been told that there is no node for it."""
    pods = kubectl.find("pods", namespace=namespace, selector=f"gemma4stack.dev/deployment={name}")
    since = [at for pod in pods if (at := finds_no_node(pod)) is not None]
    return (datetime.now(UTC) - min(since)).total_seconds()


def looked(engines: Engines, namespace: str, router: str = "gemma-router", *, times: int) -> None:
    """Return once the scaler has asked a router so many times more."""
    before = engines.asked(namespace, router)
    eventually(
        lambda: engines.asked(namespace, router) - before,
        until=lambda more: more >= times,
        seconds=20 + 10 * times,
        what=f"the scaler has looked {times} times",
    )


def test_a_step_is_followed_without_overshoot_while_replicas_load(
    operator: Operator, kubectl: Kubectl, engines: Engines, namespace: str
) -> None:
    """Replicas that load are supply: while the queue still grows, nothing is ordered twice."""
    spec = {"accelerators": ["l4"], "scaling": {"min": 2, "max": 40}, "pod": {"annotations": {DELAY: "20s"}}}
    load = serve(kubectl, engines, namespace, "step", spec)
    load.busy(1.0)
    with Replicas(kubectl, namespace) as asked:
        until(kubectl, namespace, "step", ready="2/2", seconds=60)
        looked(engines, namespace, times=3)
        assert asked.of("step")[-1] == 2
        load.busy(14.0)
        eventually(lambda: asked.of("step")[-1], until=lambda now: now >= 16, seconds=120, what="16 are asked for")
        eventually(lambda: len(load.engines), until=lambda now: now >= 16, seconds=90, what="16 serve")
        backlog = load.held
        eventually(
            lambda: load.held, until=lambda held: held < backlog * 0.9, seconds=60, what="the queue is worked off"
        )
        looked(engines, namespace, times=4)
        numbers = asked.of("step")
    assert numbers == sorted(numbers), numbers
    assert numbers[-1] <= load.most_needed + 1, (numbers, load.most_needed)
    told = status(kubectl, namespace, "step")["decisions"]
    changes = list(pairwise(numbers))
    # A change before the watch began is told too.
    assert [(each["before"], each["after"]) for each in reversed(told)][-len(changes) :] == changes
    assert "running" in told[0]["reason"]


def test_replicas_without_a_node_are_withdrawn_and_a_promised_node_is_waited_for(
    operator: Operator, kubectl: Kubectl, engines: Engines, namespace: str
) -> None:
    """Fifty lose their node to something that the operator cannot see; one waits for a node that is being added."""
    serve(kubectl, engines, namespace, "fleet", {"accelerators": ["a100-40"], "scaling": {"min": 52, "max": 60}})
    until(kubectl, namespace, "fleet", ready="52/52", seconds=90)
    nodes = [f"a100-{index}" for index in range(4)]
    kubectl("cordon", *nodes)
    try:
        with Replicas(kubectl, namespace) as asked:
            pods = kubectl.find("pods", namespace=namespace, selector="gemma4stack.dev/deployment=fleet")
            names = [pod["metadata"]["name"] for pod in pods[:50]]
            kubectl("delete", "pod", *names, "-n", namespace, "--force", "--grace-period=0", "--wait=false")
            serve(kubectl, engines, namespace, "pair", {"accelerators": ["l40s"], "scaling": {"min": 2, "max": 2}})
            until(kubectl, namespace, "fleet", ready="2/52", seconds=60)
            until(kubectl, namespace, "pair", ready="1/2", seconds=60)
            eventually(
                lambda: waited_for_a_node(kubectl, namespace, "pair"),
                until=lambda seconds: seconds > GRACE_SECONDS + 2,
                seconds=90,
                what="one has waited longer than where no node could come",
            )
            assert asked.of("pair")[-1] == 2
            kubectl.apply(fleet.l40s("l40s-late", count=1, pod_cidr=engines.cidr))
            until(kubectl, namespace, "pair", ready="2/2", seconds=60)
            found = until(kubectl, namespace, "fleet", ready="2/2", seconds=90)
            assert asked.of("pair") == sorted(asked.of("pair")), asked.of("pair")
    finally:
        kubectl("uncordon", *nodes)
    assert asked.of("fleet") == sorted(asked.of("fleet"), reverse=True)
    assert "the scheduler found no node" in found["decisions"][0]["reason"]
    told = eventually(
        lambda: conditions(kubectl.get("gdep", "fleet", namespace=namespace))["Degraded"],
        until=lambda now: now["reason"] == "TooFewGPUs",
        seconds=60,
        what="the shortage is told",
    )
    assert "the scheduler found no node" in told["message"]


def test_two_that_want_the_last_gpus_share_them_and_neither_flaps(
    operator: Operator, kubectl: Kubectl, engines: Engines, namespace: str
) -> None:
    spec = {"accelerators": ["h100"], "scaling": {"min": 1, "max": 8}}
    loads = [serve(kubectl, engines, namespace, name, spec) for name in ("left", "right")]
    for name in ("left", "right"):
        until(kubectl, namespace, name, ready="1/1", seconds=60)
    with Replicas(kubectl, namespace) as asked:
        for load in loads:
            load.busy(5.0)
        eventually(
            lambda: asked.of("left")[-1] + asked.of("right")[-1],
            until=lambda total: total == 5,
            seconds=120,
            what="the five GPUs are in use",
        )
        looked(engines, namespace, times=6)
        for name in ("left", "right"):
            numbers = asked.of(name)
            assert numbers == sorted(numbers), (name, numbers)
            told = conditions(kubectl.get("gdep", name, namespace=namespace))["Degraded"]
            assert (told["status"], told["reason"]) == ("True", "TooFewGPUs")
        assert asked.most_together("left", "right") == 5
        kubectl("delete", "gdep", "left", "-n", namespace)
        eventually(
            lambda: asked.of("right")[-1], until=lambda now: now == 5, seconds=90, what="the other takes what is left"
        )


def test_what_is_not_read_stays_as_it_is(
    operator: Operator, kubectl: Kubectl, engines: Engines, namespace: str
) -> None:
    """Of four that are idle, the one that is read sleeps; those whose engines or routers fall silent stay."""
    scaling = {"accelerators": ["l4"], "scaling": {"min": 0, "max": 4, "idleBefore0": "20s"}}
    spec = {"read": {}, "hangs": {}, "refuses": {}, "deaf": {"router": {"name": "silent-router"}}}
    loads = {name: serve(kubectl, engines, namespace, name, scaling | more) for name, more in spec.items()}
    for name in spec:
        until(kubectl, namespace, name, ready="1/1", seconds=60)
    eventually(
        lambda: min(load.asked for load in loads.values()), until=lambda n: n >= 2, seconds=60, what="each was read"
    )
    loads["hangs"].silence, loads["refuses"].silence = "hangs", "refuses"
    engines.silent_routers.add((namespace, "silent-router"))
    with Replicas(kubectl, namespace) as asked:
        for name in ("hangs", "refuses"):
            told = scaling_active(kubectl, namespace, name, reason="NoMetrics")
            assert "replicas stay at 1" in told["message"]
        eventually(
            lambda: asked.of("read")[-1], until=lambda now: now == 0, seconds=150, what="the one that is read sleeps"
        )
        for name in ("hangs", "refuses"):
            loads[name].held = 500
        looked(engines, namespace, "silent-router", times=5)
        assert [asked.of(name) for name in ("hangs", "refuses", "deaf")] == [[1], [1], [1]]
        loads["hangs"].silence = ""
        scaling_active(kubectl, namespace, "hangs", reason="FollowsQueue")


def test_a_clock_that_is_set_changes_nothing(
    operator: Operator, kubectl: Kubectl, engines: Engines, namespace: str, clock: Path
) -> None:
    """Three hours ahead, replicas that load are no older than they are; three hours back, queues are still seen."""
    slow = {"accelerators": ["l4"], "scaling": {"min": 3, "max": 8}, "pod": {"annotations": {DELAY: "50s"}}}
    loading = serve(kubectl, engines, namespace, "loading", slow)
    sleeper = serve(
        kubectl,
        engines,
        namespace,
        "sleeper",
        {"accelerators": ["h100"], "scaling": {"min": 0, "max": 2, "idleBefore0": "20s"}},
    )
    with Replicas(kubectl, namespace) as asked:
        until(kubectl, namespace, "loading", ready="0/3", seconds=60)
        until(kubectl, namespace, "sleeper", ready="1/1", seconds=60)
        looked(engines, namespace, times=2)
        clock.write_text("10800")
        looked(engines, namespace, times=5)
        assert asked.of("loading")[-1] == 3
        until(kubectl, namespace, "loading", ready="3/3", seconds=90)
        eventually(lambda: asked.of("sleeper")[-1], until=lambda now: now == 0, seconds=150, what="the idle one sleeps")
        clock.write_text("-10800")
        loading.rate = 0.5 * loading.seats
        sleeper.held = 1
        eventually(lambda: asked.of("sleeper"), until=lambda now: now[-2:] == [0, 1], seconds=30, what="it wakes")
        eventually(
            lambda: status(kubectl, namespace, "loading")["queue"],
            until=lambda queue: queue["running"] > 0,
            seconds=90,
            what="the queue is shown",
        )
        # It may begin with the one of its first plan.
        assert asked.of("loading") in ([3], [1, 3])
    clock.write_text("0")
