"""What an export keeps of a GemmaDeployment."""

from typing import Any

from gemma_operator.cli.export import exported

LIVE: dict[str, Any] = {
    "apiVersion": "gemma4stack.dev/v1alpha1",
    "kind": "GemmaDeployment",
    "metadata": {
        "name": "chat",
        "namespace": "team",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{}],
        "ownerReferences": [{"uid": "o"}],
        "labels": {"team": "a"},
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "gemma4stack.dev/paused": "true",
        },
    },
    "spec": {"model": "e2b", "scaling": {"max": 3}},
    "status": {"phase": "Ready"},
}


def test_what_somebody_wrote_stays_and_what_the_cluster_added_goes():
    [found] = exported([LIVE])
    assert found == {
        "apiVersion": "gemma4stack.dev/v1alpha1",
        "kind": "GemmaDeployment",
        "metadata": {
            "name": "chat",
            "namespace": "team",
            "labels": {"team": "a"},
            "annotations": {"gemma4stack.dev/paused": "true"},
        },
        "spec": {"model": "e2b", "scaling": {"max": 3}},
    }


def test_one_that_is_being_deleted_is_not_kept():
    leaving = {**LIVE, "metadata": {**LIVE["metadata"], "deletionTimestamp": "2026-01-02T00:00:00Z"}}
    assert exported([leaving]) == []


def test_nothing_empty_is_written():
    [found] = exported([{"metadata": {"name": "chat", "namespace": "team"}}])
    assert found["metadata"] == {"name": "chat", "namespace": "team"}
    assert found["spec"] == {}
