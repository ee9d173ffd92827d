"""Nothing that happens to pods costs a stream: not scaling, rollouts, evictions, nor the end of the operator."""

import pytest

from tests.e2e.conftest import Disturbance
from tests.e2e.held import most_held
from tests.e2e.load import load, until_ended
from tests.e2e.loaded import deploy, patch, until_replicas
from tests.e2e.objects import engine_pods, until_condition, until_ready
from tests.kubectl import Kubectl, conditions, eventually

pytestmark = pytest.mark.long
WAITING = 20


def test_load_brings_replicas_and_their_going_cuts_nothing(
    kubectl: Kubectl, namespace: str, disturbance: Disturbance
) -> None:
    """Three requests per second keep more than two replicas busy; then one in five seconds keeps one."""
    deploy(kubectl, namespace, scaling={"max": 4})
    with load(kubectl, namespace, "chat", rate=3, tokens=24) as busy, disturbance():
        until_replicas(kubectl, namespace, at_least=4, seconds=300)
    busy.check(at_least=60)
    with load(kubectl, namespace, "chat", rate=0.2, tokens=36) as quiet, disturbance():
        obj = until_replicas(kubectl, namespace, at_least=1, at_most=1, seconds=600)
    quiet.check(at_least=5)
    changes = [(each["before"], each["after"]) for each in obj["status"]["decisions"]]
    assert len(changes) <= 8, f"it flaps: {changes}"


@pytest.mark.parametrize(("replicas", "words"), [(2, "one replica more"), (4, "in place")])
def test_a_rollout_cuts_nothing_with_and_without_a_spare_gpu(
    kubectl: Kubectl, namespace: str, disturbance: Disturbance, replicas: int, words: str
) -> None:
    deploy(kubectl, namespace, replicas=replicas)
    before = {pod["metadata"]["uid"] for pod in engine_pods(kubectl, namespace, "chat")}
    with load(kubectl, namespace, "chat", rate=1, tokens=24) as running, disturbance():
        patch(kubectl, namespace, {"context": 16384})
        obj = until_condition(kubectl, namespace, "chat", kind="Ready", status="False", reason="RollingOut", seconds=60)
        assert words in conditions(obj)["Ready"]["message"]
        until_ready(kubectl, namespace, "chat", seconds=300)
        eventually(
            lambda: {pod["metadata"]["uid"] for pod in engine_pods(kubectl, namespace, "chat")},
            until=lambda uids: len(uids) == replicas and not uids & before,
            seconds=120,
            what="every replica is new",
        )
    running.check(at_least=10)


def test_a_router_rollout_cuts_nothing(kubectl: Kubectl, namespace: str, disturbance: Disturbance) -> None:
    deploy(kubectl, namespace)
    with load(kubectl, namespace, "chat", rate=0.5, tokens=60) as running, disturbance():
        kubectl("rollout", "restart", "deployment/gemma-router", "-n", namespace)
        kubectl("rollout", "status", "deployment/gemma-router", "-n", namespace, "--timeout=240s", timeout=250)
    running.check(at_least=5)


def test_twenty_clients_wake_a_sleeper_and_all_are_answered(
    kubectl: Kubectl, namespace: str, disturbance: Disturbance
) -> None:
    """They come through the Service, which spreads them: all reach the same pod once in 500,000 times."""
    deploy(kubectl, namespace, scaling={"min": 0, "max": 3, "idleBefore0": "15s"})
    eventually(
        lambda: kubectl.get("gdep", "chat", namespace=namespace)["status"],
        until=lambda status: status.get("phase") == "Asleep" and not status["replicas"],
        seconds=240,
        what="it sleeps",
    )
    with (
        most_held(kubectl, namespace, "chat") as held,
        load(kubectl, namespace, "chat", rate=200, tokens=12, count=WAITING) as woken,
        disturbance(within=5),
    ):
        # The whole of it is disturbed, from the first request to the last answer.
        until_ended(kubectl, namespace)
    woken.check(at_least=WAITING)
    print(f"held at most: {held}")
    assert len(held) == 2
    assert all(held.values()), f"a router pod held none: {held}"
    woke = next(
        each for each in kubectl.get("gdep", "chat", namespace=namespace)["status"]["decisions"] if each["before"] == 0
    )
    assert woke["after"] >= 2, woke["reason"]
