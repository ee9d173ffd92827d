"""What was observed becomes a phase, conditions and a next step."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from gemma_operator.api.conditions import Reason
from gemma_operator.api.errors import Terminal
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.planner.types import Plan
from gemma_operator.reconcile.diagnosis import Diagnosis
from gemma_operator.reconcile.observed import Decision, NameTaken, Observed
from gemma_operator.reconcile.replicas import wanted_replicas
from gemma_operator.reconcile.status import compute, is_settled

from tests.unit.render import builders

NOW = datetime(2026, 1, 2, tzinfo=UTC)
POOL = replace(builders.POOL, cost_per_hour=0.5)
PLAN = Plan(pools=(POOL,), reason="because it fits")
BLOCKED = Plan(pools=(), reason="nothing fits: too small", blocked="NothingFits", next_step="add a GPU")


def deployment(
    *, ready: int, updated: int | None = None, replicas: int | None = None, wanted: int = 1
) -> dict[str, Any]:
    return {
        "metadata": {"generation": 1},
        "spec": {"replicas": wanted},
        "status": {
            "observedGeneration": 1,
            "readyReplicas": ready,
            "updatedReplicas": wanted if updated is None else updated,
            "replicas": wanted if replicas is None else replicas,
        },
    }


def observed(**changes: Any) -> Observed:
    """A GemmaDeployment that serves."""
    metadata = {"name": "chat", "namespace": "team", "generation": 3, "uid": "u"}
    given: dict[str, Any] = {
        "obj": {"metadata": metadata},
        "spec": GemmaDeploymentSpec(),
        "deployment": deployment(ready=1),
        "decision": Decision(plan=PLAN, pools=(POOL,), spare=False),
        "router": deployment(ready=2, wanted=2),
    }
    given |= changes
    spec, running = given["spec"], given["deployment"]
    if spec is not None:
        given.setdefault("wanted", wanted_replicas(spec, scaler=given.get("scaler"), deployment=running))
    return Observed(**given)


def told(seen: Observed) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    status = compute(seen, now=NOW)
    return status, {condition["type"]: condition for condition in status["conditions"]}


def test_one_that_serves() -> None:
    status, conditions = told(observed())
    assert status["phase"] == "Ready"
    assert {kind: found["status"] for kind, found in conditions.items() if found["status"] == "True"} == {
        "Ready": "True",
        "Planned": "True",
        "Routed": "True",
        "ScalingActive": "True",
    }
    assert (status["model"], status["accelerator"], status["ready"]) == ("e4b bf16", "1×l4", "1/1")
    assert status["costPerHour"] == "0.50"
    assert status["endpoint"] == {"url": "http://gemma-router.team.svc/v1", "models": ["chat"]}
    assert is_settled(observed())


def test_no_plan_no_route() -> None:
    """The router runs for others; it knows no model that has no plan."""
    blocked = observed(deployment=None, decision=Decision(plan=BLOCKED, pools=(), spare=False))
    status, conditions = told(blocked)
    assert "endpoint" not in status
    assert (conditions["Routed"]["status"], conditions["Routed"]["reason"]) == ("False", "NothingFits")
    refused = observed(deployment=None, problem=Terminal(Reason.NAME_CONFLICT, "Service chat exists"))
    status, conditions = told(refused)
    assert (conditions["Routed"]["status"], conditions["Routed"]["reason"]) == ("False", "NameConflict")


CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "loading": ({"deployment": deployment(ready=0)}, "Starting", "Starting", "Reconciling"),
    "rolling": ({"deployment": deployment(ready=1, updated=0)}, "Updating", "RollingOut", "Reconciling"),
    "crashing": (
        {"deployment": deployment(ready=0), "diagnosis": Diagnosis(reason=Reason.BAD_FLAGS, message="bad flag")},
        "Stalled",
        "EngineRefusedFlags",
        "Stalled",
    ),
    "one of two crashes": (
        {
            "spec": GemmaDeploymentSpec(replicas=2),
            "deployment": deployment(ready=1, wanted=2),
            "diagnosis": Diagnosis(reason=Reason.BAD_FLAGS, message="bad flag"),
        },
        "Degraded",
        "EngineRefusedFlags",
        "Stalled",
    ),
    "pending": (
        {"deployment": deployment(ready=0), "diagnosis": Diagnosis(reason=Reason.UNSCHEDULABLE, message="no node")},
        "Starting",
        "Unschedulable",
        "Reconciling",
    ),
    "one of two on a lost node": (
        {
            "spec": GemmaDeploymentSpec(replicas=2),
            "deployment": deployment(ready=1, wanted=2),
            "diagnosis": Diagnosis(reason=Reason.NODE_LOST, message="node n does not answer"),
        },
        "Degraded",
        "NodeLost",
        "Reconciling",
    ),
    "blocked": (
        {"deployment": None, "decision": Decision(plan=BLOCKED, pools=(), spare=False)},
        "Pending",
        "NothingFits",
        "Stalled",
    ),
    "conflict": (
        {"deployment": None, "problem": Terminal(Reason.NAME_CONFLICT, "Service chat exists")},
        "Stalled",
        "NameConflict",
        "Stalled",
    ),
    "router starts": ({"router": deployment(ready=0, wanted=2)}, "Updating", "RouterStarting", "Reconciling"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_ready_says_why(case: str) -> None:
    changes, phase, reason, active = CASES[case]
    status, conditions = told(observed(**changes))
    assert status["phase"] == phase
    assert status["reason"] == reason == conditions["Ready"]["reason"]
    assert conditions["Ready"]["status"] == "False"
    assert [kind for kind in ("Reconciling", "Stalled") if conditions[kind]["status"] == "True"] == [active]
    assert conditions[active]["message"] == conditions["Ready"]["message"]


@pytest.mark.parametrize(
    ("surge", "rollout", "words"),
    [
        (1, "auto", "with one replica more meanwhile, since GPUs for one more were free: 0 of 1"),
        (0, "auto", "in place, since GPUs for one more were not free: 0 of 1"),
        (0, "inPlace", "in place, as spec.rollout says: 0 of 1"),
    ],
)
def test_a_rollout_says_how_and_why(surge: int, rollout: str, words: str) -> None:
    running = deployment(ready=1, updated=0)
    running["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": surge}}
    spec = GemmaDeploymentSpec.model_validate({"rollout": rollout})
    _, conditions = told(observed(deployment=running, spec=spec))
    assert words in conditions["Ready"]["message"]


def test_a_blocked_plan_tells_the_next_step() -> None:
    _, conditions = told(observed(deployment=None, decision=Decision(plan=BLOCKED, pools=(), spare=False)))
    assert conditions["Planned"]["message"] == "nothing fits: too small; add a GPU"


def test_a_taken_alias_degrades_but_serves() -> None:
    spec = GemmaDeploymentSpec.model_validate({"router": {"aliases": ["gpt", "own"]}})
    status, conditions = told(observed(spec=spec, taken=NameTaken(name="gpt", owner="older")))
    assert conditions["Ready"]["status"] == "True"
    assert status["phase"] == "Degraded"
    assert conditions["Routed"]["reason"] == conditions["Degraded"]["reason"] == "AliasConflict"
    assert status["endpoint"]["models"] == ["chat", "own"]


def test_without_a_router_clients_use_the_service() -> None:
    spec = GemmaDeploymentSpec.model_validate({"router": {"enabled": False}})
    status, conditions = told(observed(spec=spec, router=None))
    assert conditions["Ready"]["status"] == "True"
    assert status["endpoint"]["url"] == "http://chat.team.svc:8000/v1"


def test_an_invalid_spec_keeps_no_condition_that_needs_one() -> None:
    seen = observed(spec=None, decision=None, deployment=None, problem=Terminal(Reason.INVALID_SPEC, "spec.x: no"))
    status, conditions = told(seen)
    assert status["phase"] == "Stalled"
    assert set(conditions) == {"Ready", "Reconciling", "Stalled", "Planned", "Degraded"}


def test_transition_times_change_only_with_the_status() -> None:
    first = compute(observed(deployment=deployment(ready=0)), now=datetime(2026, 1, 1, tzinfo=UTC))
    seen = observed()
    seen.obj["status"] = first
    _, conditions = told(seen)
    assert conditions["Ready"]["lastTransitionTime"] == "2026-01-02T00:00:00Z"
    assert conditions["Planned"]["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_a_second_look_changes_nothing() -> None:
    seen = observed()
    seen.obj["status"] = compute(seen, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert compute(seen, now=NOW) == seen.obj["status"]


def test_paused_is_shown_and_nothing_is_on_its_way() -> None:
    status, conditions = told(observed(paused=True, decision=None, kept=None, deployment=None))
    assert status["phase"] == "Paused"
    assert conditions["Reconciling"]["status"] == conditions["Stalled"]["status"] == "False"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"replicas": 2}, "FixedReplicas"),
        ({"replicas": 2, "scaling": {"mode": "external"}}, "External"),
    ],
)
def test_fixed_replicas_say_how_to_undo_it(spec: dict[str, Any], reason: str) -> None:
    _, conditions = told(observed(spec=GemmaDeploymentSpec.model_validate(spec)))
    assert conditions["ScalingActive"]["reason"] == reason
