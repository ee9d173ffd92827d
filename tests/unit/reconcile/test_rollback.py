"""A version that never becomes ready is taken back; one that was ready once is not."""

import json
from typing import Any

import pytest
from gemma_operator.api import names
from gemma_operator.api.conditions import Reason
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.planner.types import Plan
from gemma_operator.reconcile import rollback
from gemma_operator.reconcile.diagnosis import Diagnosis
from gemma_operator.reconcile.kept import kept_plan, spec_inputs, with_plan
from gemma_operator.reconcile.rollback import good_annotation, good_manifest, hopeless, present, rolled_back

from tests.unit.render import builders

SPEC = GemmaDeploymentSpec.model_validate({"model": "e4b"})
BAD = GemmaDeploymentSpec.model_validate({"model": "e4b", "pod": {"extraArgs": ["--nonsense"]}})
BAD_FLAGS = Diagnosis(reason=Reason.BAD_FLAGS, message="pod chat-0-x: the engine does not know --nonsense")


def live(
    manifest: dict[str, Any], *, ready: int, progressing: str, updated: int = 1, observed: int = 1
) -> dict[str, Any]:
    """A Deployment as the API server shows it."""
    metadata = {**manifest["metadata"], "generation": 1}
    status = {
        "observedGeneration": observed,
        "replicas": 1,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "conditions": [{"type": "Progressing", "reason": progressing}],
    }
    return {**manifest, "metadata": metadata, "spec": {"replicas": 1}, "status": status}


def version(spec: GemmaDeploymentSpec, *, label: str, good: str | None = None) -> dict[str, Any]:
    manifest = {"kind": "Deployment", "metadata": {"name": "chat-0", "namespace": "team", "labels": {"v": label}}}
    plan = Plan(pools=(builders.POOL,), reason=f"because of {label}")
    return with_plan(manifest, spec=spec, pool=builders.POOL, plan=plan, good=good)


@pytest.fixture
def broken() -> dict[str, Any]:
    """The second version, whose only replica does not start; the first ran."""
    first = live(version(SPEC, label="first"), ready=1, progressing="NewReplicaSetAvailable")
    second = version(BAD, label="second", good=good_annotation(first))
    return live(second, ready=0, progressing="ReplicaSetUpdated")


def test_what_runs_is_kept_as_the_last_good_version() -> None:
    running = live(version(SPEC, label="first"), ready=1, progressing="NewReplicaSetAvailable")
    good = good_annotation(running)
    assert good is not None
    assert json.loads(good)["applied"] == running["metadata"]["annotations"][names.APPLIED_ANNOTATION]


def test_what_does_not_run_is_no_good_version_but_keeps_the_one_before(broken: dict[str, Any]) -> None:
    assert good_annotation(broken) == broken["metadata"]["annotations"][names.GOOD_ANNOTATION]
    starting = live(version(SPEC, label="first"), ready=0, progressing="NewReplicaSetCreated")
    assert good_annotation(starting) is None


def test_the_last_good_version_comes_back_with_its_plan_and_why(broken: dict[str, Any]) -> None:
    manifest = good_manifest(broken, inputs=spec_inputs(BAD), why="no such flag")
    assert manifest is not None
    assert manifest["metadata"]["labels"] == {"v": "first"}
    kept = kept_plan(manifest)
    assert kept is not None
    assert kept.reason == "because of first"
    back = rolled_back(manifest)
    assert back is not None
    assert (back.inputs, back.why) == (spec_inputs(BAD), "no such flag")
    assert spec_inputs(BAD) != spec_inputs(SPEC)
    assert present(manifest) == manifest
    assert names.GOOD_ANNOTATION not in manifest["metadata"]["annotations"]


def test_without_a_good_version_nothing_comes_back() -> None:
    first = live(version(BAD, label="first"), ready=0, progressing="ProgressDeadlineExceeded")
    assert good_manifest(first, inputs=spec_inputs(BAD), why="it does not start") is None


@pytest.mark.parametrize(
    ("progressing", "diagnosis", "expected"),
    [
        ("ReplicaSetUpdated", None, ""),
        ("ReplicaSetUpdated", BAD_FLAGS, BAD_FLAGS.message),
        ("ReplicaSetUpdated", Diagnosis(reason=Reason.IMAGE_PULL, message="no image"), ""),
        ("ReplicaSetUpdated", Diagnosis(reason=Reason.UNSCHEDULABLE, message="no node"), ""),
        ("ProgressDeadlineExceeded", None, "it was not ready within its start-up budget"),
        ("ProgressDeadlineExceeded", Diagnosis(reason=Reason.IMAGE_PULL, message="no image"), "no image"),
        ("NewReplicaSetAvailable", BAD_FLAGS, BAD_FLAGS.message),
    ],
)
def test_when_there_is_no_hope(
    broken: dict[str, Any], progressing: str, diagnosis: Diagnosis | None, expected: str
) -> None:
    """The last case: a rollout of no replica is complete at once, and the first pod comes when it is woken."""
    broken["status"]["conditions"] = [{"type": "Progressing", "reason": progressing}]
    assert hopeless(broken, diagnosis=diagnosis) == expected


def test_what_was_ready_once_is_not_taken_back(broken: dict[str, Any]) -> None:
    """What ails it now is not its version."""
    broken["metadata"]["annotations"][names.RAN_ANNOTATION] = "true"
    broken["status"]["conditions"] = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]
    assert hopeless(broken, diagnosis=BAD_FLAGS) == ""


def test_a_woken_version_has_as_long_as_a_rollout(broken: dict[str, Any]) -> None:
    broken["status"]["conditions"] = [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}]
    broken["spec"]["progressDeadlineSeconds"] = 900
    assert hopeless(broken, diagnosis=None, loading=890) == ""
    assert "start-up budget" in hopeless(broken, diagnosis=None, loading=910)


def test_a_version_that_no_replica_ran_is_no_good_one() -> None:
    asleep = live(version(SPEC, label="first", good="before"), ready=0, progressing="NewReplicaSetAvailable")
    asleep["spec"]["replicas"] = asleep["status"]["replicas"] = asleep["status"]["updatedReplicas"] = 0
    assert good_annotation(asleep) == "before"
    asleep["metadata"]["annotations"][names.RAN_ANNOTATION] = "true"
    assert good_annotation(asleep) != "before"


def test_a_version_is_good_while_some_of_its_replicas_are_not_ready() -> None:
    """They load after a scale-up, or their node is lost."""
    partly = live(version(SPEC, label="first", good="before"), ready=2, progressing="NewReplicaSetAvailable", updated=3)
    partly["status"]["replicas"] = partly["spec"]["replicas"] = 3
    assert good_annotation(partly) != "before"
    partly["status"]["updatedReplicas"] = 2
    assert good_annotation(partly) == "before", "the ready ones may be of the version before"


def test_what_was_brought_back_is_good_for_the_change_after_it(broken: dict[str, Any]) -> None:
    manifest = good_manifest(broken, inputs=spec_inputs(BAD), why="no such flag")
    assert manifest is not None
    again = live(version(BAD, label="third", good=good_annotation(manifest)), ready=0, progressing="ReplicaSetUpdated")
    back = good_manifest(again, inputs="third", why="it fails too")
    assert back is not None
    assert back["metadata"]["labels"] == {"v": "first"}


def test_pods_of_the_version_before_tell_nothing_of_the_new_one() -> None:
    def pod(name: str, template: str, *args: str) -> dict[str, Any]:
        engine = {"name": names.ENGINE_CONTAINER, "image": "vllm", "args": list(args)}
        return {
            "metadata": {"name": name, "labels": {"pod-template-hash": template}},
            "spec": {"containers": [engine]},
        }

    old, new = pod("old", "a", "--max-num-seqs=256"), pod("new", "b", "--max-num-seqs=64")
    deployment = {"spec": {"template": {"spec": new["spec"]}}}
    assert rollback.newest([old, new], deployment) == [new]
    assert rollback.newest([old], deployment) == [old]


def test_a_status_of_an_older_generation_says_nothing(broken: dict[str, Any]) -> None:
    broken["status"]["observedGeneration"] = 0
    assert hopeless(broken, diagnosis=BAD_FLAGS) == ""


def test_damaged_annotations_bring_nothing_back(broken: dict[str, Any]) -> None:
    broken["metadata"]["annotations"][names.GOOD_ANNOTATION] = "{"
    broken["metadata"]["annotations"][names.ROLLED_BACK_ANNOTATION] = '"?"'
    assert good_manifest(broken, inputs=spec_inputs(BAD), why="") is None
    assert rolled_back(broken) is None
    assert rollback.present({"metadata": {}}) is None
