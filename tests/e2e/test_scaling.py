"""Replicas that follow the queue, sleep and wake, and a change that is taken back, with requests on the way."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

from openai import OpenAI

from tests.e2e.chat import Stream, ask, router_client, stream, until_answered
from tests.e2e.objects import condition, engine_pods, until_condition, until_ready
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

SLOW = [{"name": "STANDIN_TOKENS_PER_SECOND", "value": "12"}]
CLIENTS = 10
TOKENS = 120


def keep_asking(client: OpenAI, model: str, enough: threading.Event) -> list[Stream]:
    """One client: a stream after the other, until it is enough."""
    streams = []
    while not enough.is_set():
        streams.append(stream(client, model, tokens=TOKENS))
    return streams


def test_a_queue_brings_replicas_and_every_request_is_answered(kubectl: Kubectl, namespace: str) -> None:
    """Ten clients ask a replica that runs two requests at once, one after the other, until more replicas serve."""
    spec = {"model": "e2b", "scaling": {"max": 3}, "pod": {"env": SLOW, "extraArgs": ["--max-num-seqs=2"]}}
    kubectl.apply(gemma("busy", spec), namespace=namespace)
    until_ready(kubectl, namespace, "busy")
    enough = threading.Event()
    with router_client(kubectl, namespace) as client, ThreadPoolExecutor(CLIENTS) as pool:
        until_answered(client, "busy")
        asked = [pool.submit(keep_asking, client, "busy", enough) for _ in range(CLIENTS)]
        try:
            obj = eventually(
                lambda: kubectl.get("gdep", "busy", namespace=namespace),
                until=lambda found: found["status"].get("readyReplicas", 0) >= 2,
                seconds=240,
                what="a second replica serves",
            )
        finally:
            enough.set()
        streams = [each for one in asked for each in one.result(timeout=300)]
    assert len(streams) >= CLIENTS
    assert [each.error for each in streams if each.error] == []
    assert {(each.finish, each.tokens) for each in streams} == {("length", TOKENS)}
    first = obj["status"]["decisions"][-1]
    assert first["before"] == 1
    assert first["after"] >= 2
    assert "waiting" in first["reason"]
    assert first["inputs"]["waiting"] > 0
    assert obj["status"]["queue"]["running"] > 0
    assert obj["status"]["startup"]["samples"] >= 1
    assert conditions(obj)["ScalingActive"]["reason"] == "FollowsQueue"
    events = [event for event in kubectl.find("events", namespace=namespace) if event["reason"] == "Scaled"]
    assert any(event["message"] == first["reason"] for event in events)


def sleeper(kubectl: Kubectl, namespace: str) -> None:
    """A deployment that sleeps after fifteen seconds, asleep."""
    spec = {"model": "e2b", "scaling": {"min": 0, "max": 2, "idleBefore0": "15s", "holdTimeout": "3m"}}
    kubectl.apply(gemma("night", spec), namespace=namespace)
    until_ready(kubectl, namespace, "night")
    fall_asleep(kubectl, namespace)


def fall_asleep(kubectl: Kubectl, namespace: str) -> Object:
    obj = eventually(
        lambda: kubectl.get("gdep", "night", namespace=namespace),
        until=lambda found: found["status"].get("phase") == "Asleep" and found["status"]["replicas"] == 0,
        seconds=180,
        what="it sleeps when nobody asks",
    )
    eventually(
        lambda: engine_pods(kubectl, namespace, "night"), until=lambda pods: not pods, seconds=60, what="no engine pod"
    )
    return obj


def test_it_sleeps_wakes_and_loses_no_request(kubectl: Kubectl, namespace: str) -> None:
    sleeper(kubectl, namespace)
    ready = condition(kubectl, namespace, "night", "Ready")
    assert (ready["status"], ready["reason"]) == ("True", "Asleep")
    with router_client(kubectl, namespace) as client, ThreadPoolExecutor(6) as pool:
        assert "night" in {model.id for model in client.models.list()}
        whole = [pool.submit(ask, client, "night") for _ in range(3)]
        streams = [pool.submit(stream, client, "night", tokens=16) for _ in range(3)]
        assert all(each.result(timeout=180) for each in whole)
        for each in streams:
            seen = each.result(timeout=180)
            assert (seen.error, seen.finish, seen.tokens) == ("", "length", 16)
    obj = until_ready(kubectl, namespace, "night")
    woke = next(each for each in obj["status"]["decisions"] if each["before"] == 0)
    assert woke["inputs"]["held"] >= 1


def test_the_operator_restarts_while_requests_wait_for_a_sleeper(kubectl: Kubectl, namespace: str) -> None:
    sleeper(kubectl, namespace)
    kubectl("scale", "deployment/gemma-operator", "-n", "gemma-system", "--replicas=0")
    eventually(
        lambda: kubectl.find("pods", namespace="gemma-system"),
        until=lambda pods: not pods,
        seconds=90,
        what="no operator",
    )
    try:
        with router_client(kubectl, namespace) as client, ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(ask, client, "night") for _ in range(2)]
            assert not any(answer.done() for answer in answers)
            kubectl("scale", "deployment/gemma-operator", "-n", "gemma-system", "--replicas=2")
            assert all(answer.result(timeout=240) for answer in answers)
    finally:
        kubectl("scale", "deployment/gemma-operator", "-n", "gemma-system", "--replicas=2")


def test_a_change_that_never_becomes_ready_is_taken_back(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat", {"model": "e2b", "replicas": 2}), namespace=namespace)
    until_ready(kubectl, namespace, "chat")
    before = {pod["metadata"]["uid"] for pod in engine_pods(kubectl, namespace, "chat")}
    with router_client(kubectl, namespace) as client:
        until_answered(client, "chat")
        change = '{"spec":{"pod":{"extraArgs":["--no-such-flag"]}}}'
        kubectl("patch", "gdep", "chat", "-n", namespace, "--type=merge", "-p", change)
        obj = until_condition(
            kubectl, namespace, "chat", kind="Degraded", status="True", reason="RolledBack", seconds=240
        )
        assert ask(client, "chat"), "what ran before serves on"
    assert "--no-such-flag" in conditions(obj)["Degraded"]["message"]
    assert conditions(obj)["Stalled"]["reason"] == "RolledBack"
    until_ready(kubectl, namespace, "chat")
    after = {pod["metadata"]["uid"] for pod in engine_pods(kubectl, namespace, "chat")}
    assert before <= after, "no replica that served was touched"
    kubectl("patch", "gdep", "chat", "-n", namespace, "--type=merge", "-p", '{"spec":{"pod":{"extraArgs":[]}}}')
    until_condition(kubectl, namespace, "chat", kind="Degraded", status="False", seconds=180)


def gone(kubectl: Kubectl, namespace: str, uid: str) -> None:
    """Return once an engine pod has left."""
    eventually(
        lambda: {pod["metadata"]["uid"] for pod in engine_pods(kubectl, namespace, "chat")},
        until=lambda uids: uid not in uids,
        seconds=120,
        what="the replica made place for the next version",
    )


def taken_back(kubectl: Kubectl, namespace: str, flag: str) -> None:
    """Return once a change was rolled back for its flag."""
    eventually(
        lambda: conditions(kubectl.get("gdep", "chat", namespace=namespace))["Degraded"],
        until=lambda now: now["reason"] == "RolledBack" and flag in now["message"],
        seconds=240,
        what=f"{flag} is taken back",
    )


def test_a_lone_replica_without_a_spare_gpu_comes_back_after_every_bad_change(kubectl: Kubectl, namespace: str) -> None:
    """In place: the router holds who asks meanwhile. What came back is what comes back after the change after it."""
    kubectl.apply(
        gemma("others", {"model": "e2b", "replicas": 3}),
        gemma("chat", {"model": "e2b", "replicas": 1, "scaling": {"holdTimeout": "8m"}}),
        namespace=namespace,
    )
    for name in ("others", "chat"):
        until_ready(kubectl, namespace, name)
    with router_client(kubectl, namespace) as client, ThreadPoolExecutor(1) as pool:
        until_answered(client, "chat")
        for flag in ("--no-such-flag", "--nor-this-one"):
            [before] = engine_pods(kubectl, namespace, "chat")
            change = json.dumps({"spec": {"pod": {"extraArgs": [flag]}}})
            kubectl("patch", "gdep", "chat", "-n", namespace, "--type=merge", "-p", change)
            gone(kubectl, namespace, before["metadata"]["uid"])
            answer = pool.submit(ask, client, "chat")
            taken_back(kubectl, namespace, flag)
            assert answer.result(timeout=300)
            until_ready(kubectl, namespace, "chat")
