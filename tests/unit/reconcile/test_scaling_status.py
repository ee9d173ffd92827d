"""What status tells of scaling, and what it keeps of earlier processes."""

from collections import OrderedDict, deque
from datetime import UTC, datetime
from typing import Any

from gemma_operator.api.conditions import Reason
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.reconcile.diagnosis import Diagnosis
from gemma_operator.reconcile.replicas import Queue, Scaler, quantile, wanted_replicas
from gemma_operator.reconcile.rollback import RolledBack
from gemma_operator.scaling.types import Decision, Kind

from tests.unit.reconcile.test_status import deployment, observed, told

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
UP = Decision(at=0, before=1, after=2, kind=Kind.UP, reason="1 → 2: 9 waiting", inputs={"waiting": 9, "model": "x"})


def scaled(status: dict[str, Any] | None = None, /, **known: Any) -> dict[str, Any]:
    """Status with a scaler that knows something, and what stood there before."""
    spec = GemmaDeploymentSpec.model_validate({"scaling": {"min": 0, "max": 4}})
    metadata = {"name": "chat", "namespace": "team", "generation": 3, "uid": "u"}
    running = deployment(ready=known.pop("ready", 1), wanted=known.pop("wanted", 1))
    obj = {"metadata": metadata, "status": status or {}}
    computed, conditions = told(observed(obj=obj, spec=spec, deployment=running, scaler=Scaler(**known)))
    return {**computed, "conditions": conditions}


def test_the_queue_for_people_and_for_programs() -> None:
    status = scaled(queue=Queue(running=41, waiting=18, held=3, at=AT))
    assert status["queue"] == {
        "running": 41,
        "waiting": 18,
        "held": 3,
        "summary": "41 running, 21 waiting",
        "at": "2026-01-01T12:00:00Z",
    }
    assert scaled(queue=Queue(running=2, waiting=0, held=0, at=AT))["queue"]["summary"] == "2 running"


def test_the_same_queue_later_is_no_news() -> None:
    before = scaled(queue=Queue(running=1, waiting=0, held=0, at=AT))["queue"]
    later = Queue(running=1, waiting=0, held=0, at=AT.replace(hour=13))
    assert scaled({"queue": before}, queue=later)["queue"] == before


def test_decisions_of_earlier_processes_stay_and_are_bounded() -> None:
    old = [
        {"at": f"2026-01-01T11:{59 - n:02}:00Z", "before": 1, "after": 2, "reason": f"old {n}", "inputs": {}}
        for n in range(20)
    ]
    status = scaled({"decisions": old}, decisions=deque([(AT, UP)]))
    assert [each["reason"] for each in status["decisions"]] == ["1 → 2: 9 waiting"] + [f"old {n}" for n in range(19)]
    assert status["decisions"][0]["inputs"] == {"waiting": 9}
    assert scaled({"decisions": old})["decisions"] == old


def test_measured_starts_wait_for_news() -> None:
    """After a restart the pods that still run know less than status does."""
    before = {"p50Seconds": 100, "p90Seconds": 200, "samples": 9}
    starts = OrderedDict({"a": 10.0, "b": 20.0, "c": 40.0})
    assert scaled({"startup": before}, starts=starts)["startup"] == before
    assert scaled({"startup": before}, starts=starts, news=True)["startup"] == {
        "p50Seconds": 20,
        "p90Seconds": 40,
        "samples": 3,
    }
    assert scaled(starts=starts)["startup"]["samples"] == 3


def test_asleep_is_ready_and_says_what_the_first_request_meets() -> None:
    status = scaled(ready=0, wanted=0, starts=OrderedDict({"a": 42.0}))
    assert (status["phase"], status["reason"], status["ready"]) == ("Asleep", "Asleep", "0/0")
    ready = status["conditions"]["Ready"]
    assert ready["status"] == "True"
    assert "within 42 s" in ready["message"]
    assert "15 min" in ready["message"]


def test_too_few_gpus_are_told() -> None:
    status = scaled(limit="no more free l4", wished=4, target=1)
    degraded = status["conditions"]["Degraded"]
    assert (degraded["status"], degraded["reason"]) == ("True", "TooFewGPUs")
    assert degraded["message"] == "4 replicas are wanted and 1 can run: no more free l4"
    assert "no more free l4" in status["conditions"]["ScalingActive"]["message"]


def test_without_metrics_the_number_stays_and_it_is_said() -> None:
    active = scaled(blind="2 of 2 replicas report nothing")["conditions"]["ScalingActive"]
    assert (active["status"], active["reason"]) == ("False", "NoMetrics")
    assert active["message"] == "replicas stay at 1: 2 of 2 replicas report nothing"


def test_a_new_process_repeats_what_the_scaler_said_until_it_has_looked() -> None:
    told_before = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "as before",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, status, reason in (("ScalingActive", "False", "NoMetrics"), ("Degraded", "True", "TooFewGPUs"))
    ]
    fresh = scaled({"conditions": told_before})["conditions"]
    assert (fresh["ScalingActive"]["reason"], fresh["ScalingActive"]["message"]) == ("NoMetrics", "as before")
    assert (fresh["Degraded"]["reason"], fresh["Degraded"]["message"]) == ("TooFewGPUs", "as before")
    looked = scaled({"conditions": told_before}, looked=True)["conditions"]
    assert looked["ScalingActive"]["reason"] == "FollowsQueue"
    assert looked["Degraded"]["status"] == "False"


def test_a_change_that_was_taken_back_needs_a_person_while_the_old_one_serves() -> None:
    status, conditions = told(observed(rolled_back=RolledBack(inputs="x", why="it knows no flag --nonsense")))
    assert status["phase"] == "Degraded"
    assert conditions["Ready"]["status"] == "True"
    for kind in ("Stalled", "Degraded"):
        assert (conditions[kind]["status"], conditions[kind]["reason"]) == ("True", "RolledBack")
        assert "--nonsense" in conditions[kind]["message"]
        assert "e4b bf16 on 1×l4 runs on" in conditions[kind]["message"]


def test_wanted_replicas() -> None:
    spec = GemmaDeploymentSpec.model_validate({"scaling": {"min": 0, "max": 3}})
    running = deployment(ready=1, wanted=2)
    assert wanted_replicas(spec, scaler=None, deployment=None) == 1, "it starts awake"
    assert wanted_replicas(spec, scaler=None, deployment=running) == 2, "a new process changes nothing"
    assert wanted_replicas(spec, scaler=Scaler(target=0), deployment=running) == 0
    assert wanted_replicas(spec, scaler=Scaler(target=9), deployment=running) == 3
    fixed = GemmaDeploymentSpec.model_validate({"replicas": 7, "scaling": {"max": 3}})
    assert wanted_replicas(fixed, scaler=Scaler(target=1), deployment=running) == 7


def test_quantiles() -> None:
    assert quantile([5.0], 0.5) == 5
    assert [quantile([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10], share) for share in (0.5, 0.9, 1)] == [5, 9, 10]


def test_replicas_that_are_added_do_not_make_it_unready() -> None:
    """`min` serve; the third, which the queue asked for, still loads."""
    spec = GemmaDeploymentSpec.model_validate({"scaling": {"min": 2, "max": 4}})
    running = deployment(ready=2, wanted=3)
    growing = observed(spec=spec, deployment=running, scaler=Scaler(target=3))
    status, conditions = told(growing)
    assert (status["phase"], status["ready"]) == ("Ready", "2/3")
    assert conditions["Ready"]["message"].startswith("2 of 3 replicas serve e4b bf16 on 1×l4; ")
    stuck = Diagnosis(reason=Reason.UNSCHEDULABLE, message="pod chat-0-c finds no node")
    status, conditions = told(observed(spec=spec, deployment=running, scaler=Scaler(target=3), diagnosis=stuck))
    assert conditions["Ready"]["status"] == "True"
    assert (conditions["Degraded"]["status"], conditions["Degraded"]["reason"]) == ("True", "Unschedulable")
    fixed = GemmaDeploymentSpec(replicas=3)
    _, conditions = told(observed(spec=fixed, deployment=running))
    assert conditions["Ready"]["status"] == "False"


def test_a_new_number_of_replicas_is_no_rollout() -> None:
    spec = GemmaDeploymentSpec.model_validate({"scaling": {"max": 4}})
    running = deployment(ready=1, wanted=1)
    running["metadata"]["generation"] = 2
    _, conditions = told(observed(spec=spec, deployment=running, scaler=Scaler(target=4, generation=2)))
    assert conditions["Ready"]["status"] == "True"
    _, conditions = told(observed(spec=spec, deployment=running, scaler=Scaler(target=4)))
    assert conditions["Ready"]["reason"] == "RollingOut"


def test_what_runs_may_be_below_the_minimum() -> None:
    spec = GemmaDeploymentSpec.model_validate({"scaling": {"min": 7, "max": 9}})
    running = deployment(ready=1, wanted=1)
    assert wanted_replicas(spec, scaler=None, deployment=None) == 7
    assert wanted_replicas(spec, scaler=None, deployment=running) == 1
    assert wanted_replicas(spec, scaler=Scaler(target=4), deployment=running) == 4
