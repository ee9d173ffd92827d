"""What the API server refuses at once, and what only the cluster can know and heals by itself."""

from collections.abc import Iterator

import pytest
import stack

from tests.e2e.conftest import CLUSTER
from tests.e2e.objects import condition, engine_pods, until_condition, until_ready
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

SECONDS = 30
"""A problem is named within seconds; a busy machine gets more of them."""
WRONG: tuple[tuple[Object, str, str], ...] = (
    ({"model": "7b"}, "spec.model", "use e2b, e4b, 12b, 26b-a4b, 31b or auto"),
    ({"precision": "fp7"}, "spec.precision", '"bf16"'),
    ({"model": "e4b", "context": 200_000}, "spec.context", "lower it to at most 131072"),
    ({"scaling": {"min": 3, "max": 1}}, "spec.scaling.min", "lower min or raise max"),
    ({"adapters": []}, "spec.adapters", "unknown field"),
    ({"concurrency": -1}, "spec.concurrency", "greater than or equal to 1"),
    ({"engineVersion": "0.27.1"}, "spec.engineVersion", "use 0.28.0 or newer"),
)


@pytest.mark.parametrize(("spec", "field", "remedy"), WRONG, ids=[field for _, field, _ in WRONG])
def test_wrong_specs_are_answered_at_apply(
    kubectl: Kubectl, shared_namespace: str, spec: Object, field: str, remedy: str
) -> None:
    answer = kubectl.refused(gemma("wrong", spec), namespace=shared_namespace)
    assert field in answer
    assert remedy in answer


def test_a_name_that_no_service_could_carry_is_answered_at_apply(kubectl: Kubectl, shared_namespace: str) -> None:
    assert "at most 40 characters" in kubectl.refused(gemma("a" * 41), namespace=shared_namespace)
    assert "lower-case letters" in kubectl.refused(gemma("chat.v2"), namespace=shared_namespace)


def test_an_object_that_is_not_ours_is_left_alone_until_it_goes(kubectl: Kubectl, namespace: str) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}},
    }
    kubectl.apply(theirs, namespace=namespace)
    kubectl.apply(gemma("chat", _small()), namespace=namespace)
    obj = _until_refused(kubectl, namespace, "chat", "NameConflict")
    message = conditions(obj)["Ready"]["message"]
    assert "Service chat exists and is not ours" in message
    assert "rename" in message
    live = kubectl.get("service", "chat", namespace=namespace)
    assert live["spec"]["selector"] == {"app": "theirs"}
    assert "ownerReferences" not in live["metadata"]
    kubectl("delete", "service", "chat", "-n", namespace)
    until_ready(kubectl, namespace, "chat")


def test_an_alias_of_an_older_deployment_is_taken_until_it_goes(kubectl: Kubectl, namespace: str) -> None:
    spec = {"model": "e2b", "router": {"aliases": ["gpt-4o"]}}
    kubectl.apply(gemma("older", spec), namespace=namespace)
    until_ready(kubectl, namespace, "older")
    kubectl.apply(gemma("younger", spec), namespace=namespace)
    obj = until_condition(
        kubectl, namespace, "younger", kind="Routed", status="False", reason="AliasConflict", seconds=SECONDS
    )
    message = conditions(obj)["Routed"]["message"]
    assert "gpt-4o" in message
    assert "older" in message
    assert condition(kubectl, namespace, "older", "Routed")["status"] == "True"
    kubectl("delete", "gdep", "older", "-n", namespace, "--wait=false")
    until_condition(kubectl, namespace, "younger", kind="Routed", status="True", seconds=180)


def test_a_missing_secret_is_named_and_its_creation_heals(kubectl: Kubectl, namespace: str) -> None:
    spec = {**_small(), "weights": {"tokenSecretRef": {"name": "hugging-face"}}}
    kubectl.apply(gemma("chat", spec), namespace=namespace)
    obj = _until_refused(kubectl, namespace, "chat", "SecretMissing", seconds=60)
    assert "hugging-face" in conditions(obj)["Ready"]["message"]
    kubectl("create", "secret", "generic", "hugging-face", "-n", namespace, "--from-literal=token=hf_test")
    until_ready(kubectl, namespace, "chat")


def test_an_accelerator_that_is_not_here_is_answered_with_what_is(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("chat", {**_small(), "accelerators": ["h100-80"]}), namespace=namespace)
    obj = _until_refused(kubectl, namespace, "chat", "NoSuchAccelerator")
    message = conditions(obj)["Planned"]["message"]
    assert "h100-80" in message
    assert "l4" in message
    kubectl("patch", "gdep", "chat", "-n", namespace, "--type=merge", "-p", '{"spec":{"accelerators":["l4"]}}')
    until_ready(kubectl, namespace, "chat")


def test_what_fits_nowhere_is_answered_with_numbers(kubectl: Kubectl, namespace: str) -> None:
    wanted = {**_small(), "model": "31b", "precision": "bf16", "context": 262144}
    kubectl.apply(gemma("chat", wanted), namespace=namespace)
    obj = eventually(
        lambda: kubectl.get("gdep", "chat", namespace=namespace),
        until=lambda obj: conditions(obj).get("Planned", {}).get("status") == "False",
        seconds=SECONDS,
        what="31b bf16 with 256k of context is refused on four L4",
    )
    assert conditions(obj)["Planned"]["reason"] == "NothingFits"
    assert any("31b bf16" in rejection["reason"] for rejection in obj["status"]["rejected"])
    assert engine_pods(kubectl, namespace, "chat") == []
    kubectl("patch", "gdep", "chat", "-n", namespace, "--type=merge", "-p", '{"spec":{"context":8192}}')
    until_ready(kubectl, namespace, "chat")


@pytest.fixture
def no_gpus(kubectl: Kubectl) -> Iterator[None]:
    """The node advertises no GPU until the test gives them back."""
    stack.advertise(CLUSTER, stack.without_gpus())
    yield
    stack.advertise(CLUSTER, stack.L4)


def test_a_cluster_without_gpus_is_told_and_new_ones_are_taken(kubectl: Kubectl, namespace: str, no_gpus: None) -> None:
    kubectl.apply(gemma("chat", _small()), namespace=namespace)
    _until_refused(kubectl, namespace, "chat", "NoGPUs")
    stack.advertise(CLUSTER, stack.L4)
    until_ready(kubectl, namespace, "chat")


def test_gpus_in_use_are_waited_for(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(gemma("taker", {"model": "e2b", "replicas": 4, **_alone()}), namespace=namespace)
    until_ready(kubectl, namespace, "taker")
    kubectl.apply(gemma("waiter", _small()), namespace=namespace)
    obj = _until_refused(kubectl, namespace, "waiter", "InsufficientCapacity")
    assert engine_pods(kubectl, namespace, "waiter") == []
    assert conditions(obj)["Ready"]["status"] == "False"
    kubectl("delete", "gdep", "taker", "-n", namespace, "--wait=false")
    until_ready(kubectl, namespace, "waiter")


def _small() -> Object:
    return {"model": "e2b", **_alone()}


def _alone() -> Object:
    """Without a router, whose start would only take time here."""
    return {"router": {"enabled": False}}


def _until_refused(kubectl: Kubectl, namespace: str, name: str, reason: str, *, seconds: float = SECONDS) -> Object:
    return until_condition(kubectl, namespace, name, kind="Ready", status="False", reason=reason, seconds=seconds)
