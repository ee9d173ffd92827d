"""What is kept on a Deployment decides when pods change, and when they must not."""

from dataclasses import replace
from typing import Any

from gemma_operator.api.names import APPLIED_ANNOTATION, PLAN_ANNOTATION, UPGRADE_ANNOTATION
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.planner.types import Plan
from gemma_operator.reconcile.kept import (
    kept_manifest,
    kept_plan,
    manifest_that_stays,
    plan_inputs,
    pod_inputs,
    spec_inputs,
    upgrade_due,
    with_plan,
)

from tests.unit.render import builders

SPEC = GemmaDeploymentSpec.model_validate({"model": "e4b"})
PLAN = Plan(pools=(builders.POOL,), reason="because")
MANIFEST: dict[str, Any] = {"kind": "Deployment", "metadata": {"name": "chat-0"}, "spec": {"x": 1}}


def change(**fields: Any) -> GemmaDeploymentSpec:
    return GemmaDeploymentSpec.model_validate({"model": "e4b", **fields})


def test_plan_and_manifest_come_back_as_they_were_kept() -> None:
    live = with_plan(MANIFEST, spec=SPEC, pool=builders.POOL, plan=PLAN)
    kept = kept_plan(live)
    assert kept is not None
    assert (kept.pool, kept.reason, kept.inputs) == (builders.POOL, "because", plan_inputs(SPEC))
    assert kept_manifest(live, inputs=pod_inputs(SPEC, builders.POOL)) == MANIFEST
    assert APPLIED_ANNOTATION not in MANIFEST["metadata"].get("annotations", {}), "the input must not be changed"


def test_keeping_a_kept_plan_again_changes_nothing() -> None:
    live = with_plan(MANIFEST, spec=SPEC, pool=builders.POOL, plan=PLAN)
    kept = kept_plan(live)
    assert kept is not None
    assert with_plan(MANIFEST, spec=SPEC, pool=kept.pool, plan=kept) == live


def test_a_damaged_annotation_means_planning_anew() -> None:
    for text in ("", "{}", "[1]", '{"pool": {}, "inputs": "x", "reason": "", "rejected": []}'):
        live = {"metadata": {"annotations": {PLAN_ANNOTATION: text, APPLIED_ANNOTATION: text}}}
        assert kept_plan(live) is None
        assert kept_manifest(live, inputs="x") is None
    assert kept_plan({"metadata": {}}) is None


def test_what_changes_no_pod_rolls_no_pod() -> None:
    same = pod_inputs(SPEC, builders.POOL)
    for spec in (
        change(replicas=3),
        change(priority=5),
        change(scaling={"min": 2, "max": 9}),
        change(maxCostPerHour=9),
        change(router={"aliases": ["gpt"], "fallbacks": ["other"]}),
    ):
        assert pod_inputs(spec, builders.POOL) == same
    assert pod_inputs(SPEC, replace(builders.POOL, replicas=7)) == same


def test_what_pods_are_made_from_rolls_them() -> None:
    same = pod_inputs(SPEC, builders.POOL)
    for spec in (
        change(features={"tools": False}),
        change(pod={"env": [{"name": "A", "value": "b"}]}),
        change(scaling={"drainTimeout": "9m"}),
        change(router={"name": "other-router"}),
        change(weights={"endpoint": "https://mirror.example"}),
    ):
        assert pod_inputs(spec, builders.POOL) != same
    assert pod_inputs(SPEC, replace(builders.POOL, max_model_len=4096)) != same


def test_what_planning_reads_makes_it_look_again() -> None:
    same = plan_inputs(SPEC)
    assert plan_inputs(change(priority=5, router={"aliases": ["gpt"]})) == same
    assert plan_inputs(change(replicas=3)) == same
    assert plan_inputs(change(context=16384)) != same
    assert plan_inputs(change(accelerators=["l4"])) != same
    assert plan_inputs(change(router={"name": "other-router"})) != same, "it rolls pods: is a GPU free for that?"


def test_an_upgrade_is_due_once_for_each_value_of_the_annotation() -> None:
    def asking(value: str | None) -> dict[str, Any]:
        return {"metadata": {"annotations": {UPGRADE_ANNOTATION: value} if value is not None else {}}}

    first = kept_plan(with_plan(MANIFEST, spec=SPEC, pool=builders.POOL, plan=PLAN))
    after = kept_plan(with_plan(MANIFEST, spec=SPEC, pool=builders.POOL, plan=PLAN, upgrade="1"))
    assert upgrade_due(asking("1"), first)
    assert not upgrade_due(asking("1"), after), "it was done"
    assert upgrade_due(asking("2"), after)
    assert not upgrade_due(asking(None), after), "taking the annotation away asks for nothing"
    assert not upgrade_due(asking(""), after)
    assert not upgrade_due(asking("1"), None), "what does not run yet comes up as it should be"


def test_without_an_upgrade_nothing_kept_changes() -> None:
    """Else the operator that learned of upgrades would have rolled every pod."""
    live = with_plan(MANIFEST, spec=SPEC, pool=builders.POOL, plan=PLAN)
    assert "upgrade" not in live["metadata"]["annotations"][PLAN_ANNOTATION]
    assert spec_inputs(SPEC) == spec_inputs(SPEC, upgrade=None)
    assert len({spec_inputs(SPEC, upgrade=token) for token in (None, "1", "2")}) == 3


def test_what_stays_while_an_upgrade_is_due_is_what_would_be_rendered_anyway() -> None:
    live = with_plan(MANIFEST, spec=SPEC, pool=builders.POOL, plan=PLAN)
    kept = kept_plan(live)
    assert kept is not None
    newer = replace(builders.POOL, kv_cache_tokens=builders.POOL.kv_cache_tokens + 1)
    changed = {**MANIFEST, "spec": {"x": 2}}

    def stays(rendered: dict[str, Any], **more: Any) -> dict[str, Any] | None:
        return manifest_that_stays(
            live, rendered=rendered, **{"spec": SPEC, "pool": builders.POOL, "due": kept, **more}
        )

    assert stays(changed, due=None) == MANIFEST, "a new operator version rolls nothing"
    assert stays(changed, due=None, spec=change(context=16384)) is None
    assert stays(changed) is None, "an upgrade brings what is rendered now"
    assert stays(MANIFEST, pool=newer) == MANIFEST, "numbers of the plan that are in no pod roll none"
    assert stays(MANIFEST, spec=change(context=16384)) is None, "a change of the spec is rendered as ever"
