"""Status takes the plan's own values and reads back from the API server as it was written."""

from dataclasses import replace
from datetime import UTC, datetime

from gemma_operator.api.status import MAX_SENTENCE, Condition, GemmaDeploymentStatus, Phase, PoolStatus

from tests.unit.render.builders import GIB, POOL


def test_a_pool_of_the_plan_becomes_status_without_what_belongs_to_manifests():
    shown = PoolStatus.model_validate(replace(POOL, cost_per_million_tokens=None)).to_dict()
    assert shown["supply"] == "Free"
    assert shown["maxModelLen"] == 8192
    assert shown["memory"]["kvPerSequence"] == GIB // 4
    assert "costPerMillionTokens" not in shown
    assert not {"args", "nodeSelectorTerms", "tolerations", "env"} & set(shown)
    assert PoolStatus.model_validate(shown).to_dict() == shown


def test_times_are_written_as_kubernetes_writes_them():
    condition = Condition(
        type="Ready",
        status="True",
        reason="Serving",
        message="x",
        last_transition_time=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    )
    assert condition.to_dict()["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert Condition.model_validate(condition.to_dict()).to_dict() == condition.to_dict()


def test_a_sentence_too_long_is_cut_and_never_refused():
    condition = Condition.model_validate(
        {
            "type": "Ready",
            "status": "False",
            "reason": "X",
            "message": "m" * 9000,
            "lastTransitionTime": datetime.now(UTC),
        }
    )
    assert len(condition.message) == MAX_SENTENCE
    assert condition.message.endswith("…")


def test_unset_fields_are_left_out():
    assert GemmaDeploymentStatus(phase=Phase.PENDING).to_dict() == {"phase": "Pending"}
