"""Which deployments run what this version would not render any more, and how one's upgrade goes. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gemma_operator.api import names
from gemma_operator.api.conditions import ConditionType
from gemma_operator.cli.diffing import Difference, Field
from gemma_operator.cli.source import Wanted
from gemma_operator.reconcile.specs import is_paused, parse_spec

Object = dict[str, Any]


class Step(StrEnum):
    """What is to be done with one deployment."""

    roll = "roll"
    """Its engine pods are replaced."""
    current = "current"
    """It runs what would be rendered."""
    skip = "skip"
    """It cannot be upgraded now; the preview says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """One deployment's part of an upgrade."""

    namespace: str
    name: str
    step: Step
    summary: str
    """What changes, or why nothing does."""
    difference: Difference | None = None


def asking(objects: Iterable[Object], *, token: str) -> Iterator[Wanted]:
    """The deployments that can be upgraded, as they would ask for it."""
    for obj in objects:
        metadata = obj["metadata"]
        spec, _ = parse_spec(obj)
        if spec is None or is_paused(obj) or metadata.get("deletionTimestamp"):
            continue
        annotations = {**(metadata.get("annotations") or {}), names.UPGRADE_ANNOTATION: token}
        asked = {**obj, "metadata": {**metadata, "annotations": annotations}}
        yield Wanted(obj=asked, spec=spec, name=metadata["name"], namespace=metadata["namespace"])


def upgrades(objects: Iterable[Object], found: Mapping[tuple[str, str], Difference]) -> list[Upgrade]:
    """What is to be done with each deployment, in their order."""
    return [_upgrade(obj, found.get((obj["metadata"]["namespace"], obj["metadata"]["name"]))) for obj in objects]


def _upgrade(obj: Object, difference: Difference | None) -> Upgrade:
    metadata = obj["metadata"]
    if difference is None:
        step, summary = Step.skip, _why_not(obj)
    elif difference.rolls:
        step, summary = Step.roll, _summary(difference)
    elif difference.compared:
        step, summary = Step.current, "runs the current version"
    else:
        step, summary = Step.skip, difference.verdict
    return Upgrade(
        namespace=metadata["namespace"], name=metadata["name"], step=step, summary=summary, difference=difference
    )


def _why_not(obj: Object) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "is being deleted"
    if is_paused(obj):
        return f"paused: remove the annotation {names.PAUSED_ANNOTATION} first"
    return parse_spec(obj)[1]


def _summary(difference: Difference) -> str:
    changed = {field.name: field for field in difference.fields}
    told = [
        _words(field, called)
        for name, called in (("engineVersion", "engine"), ("image", "image"), ("checkpoint", "checkpoint"))
        if (field := changed.get(name)) is not None
    ]
    return "; ".join(told) if told else "another template or configuration of the pods"


def _words(field: Field, called: str) -> str:
    return f"{called} {field.before} → {field.after}"


class Progress(StrEnum):
    """How far an upgrade is."""

    waiting = "waiting"
    done = "done"
    failed = "failed"


def progress(obj: Object, *, token: str) -> tuple[Progress, str]:
    """How far a deployment is that asked for an upgrade by this token, and what its condition says of it."""
    status = obj.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    if status.get("observedUpgrade") != token:
        return Progress.waiting, "the operator has not seen it yet"
    stalled, ready = conditions.get(ConditionType.STALLED, {}), conditions.get(ConditionType.READY, {})
    if stalled.get("status") == "True":
        return Progress.failed, f"{stalled.get('reason')}: {stalled.get('message')}"
    message = str(ready.get("message", ""))
    return (Progress.done if ready.get("status") == "True" else Progress.waiting), message


def to_json(each: Upgrade) -> Object:
    """One deployment's part for programs."""
    difference = each.difference
    return {
        "namespace": each.namespace,
        "name": each.name,
        "step": each.step.value,
        "summary": each.summary,
        "fields": [
            {"field": one.name, "before": one.before, "after": one.after}
            for one in (difference.fields if difference else ())
        ],
        "manifest": difference.manifest if difference else "",
    }
