"""What a GemmaDeployment would change against what runs: the plan's numbers, and the manifest of its pool. Pure.

It decides as the operator does: a plan is kept while its inputs are the same or its candidate still holds.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from gemma_operator.api import names
from gemma_operator.cli.planning import Planned
from gemma_operator.cli.whatif import Ask
from gemma_operator.cluster.resources import Object
from gemma_operator.planner.plan import holds
from gemma_operator.planner.serialize import plan_to_json, pool_to_json
from gemma_operator.planner.spare import has_spare
from gemma_operator.planner.types import Plan, Pool
from gemma_operator.reconcile.kept import (
    KeptPlan,
    kept_manifest,
    kept_plan,
    manifest_that_stays,
    plan_inputs,
    upgrade_due,
)
from gemma_operator.reconcile.replicas import measured_start
from gemma_operator.render.engine import render_engine
from gemma_operator.render.names import CHECKSUM_ANNOTATION
from gemma_operator.render.types import DeploymentIdentity, Strategy

_ANYWHERE: Final = "gemma-system"
"""Of the rendered objects only the NetworkPolicy, which is not compared, names the operator's namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One number or word of a pool that changes."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What applying a GemmaDeployment would change."""

    planned: Planned
    """With the plan that the operator would have: the kept one or a new one."""
    verdict: str
    """One sentence for people."""
    rolls: bool
    """Whether engine pods are replaced."""
    fields: tuple[Field, ...]
    manifest: str
    """Unified diff of the Deployment; empty: the same."""
    compared: bool
    """Whether something runs and something fits; else the verdict says which of the two is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What the cluster has of a GemmaDeployment."""

    obj: Object | None
    deployment: Object | None


def difference(planned: Planned, ask: Ask, running: Running) -> Difference:
    """Compare what was asked for with what runs."""
    kept = kept_plan(running.deployment) if running.deployment else None
    if running.obj is None or running.deployment is None or kept is None:
        if not planned.plan.pools:
            return _told(planned, "nothing runs, and nothing fits")
        what = "new: nothing of this name runs" if running.obj is None else "nothing runs yet"
        return _told(planned, what, after=planned.plan.pools[0])
    plan, pool, why = _decided(planned, ask, kept)
    after = Planned(wanted=planned.wanted, plan=plan, inventory=planned.inventory)
    if pool is None:
        return _told(after, f"nothing fits what is asked for now, and what runs would go on: {plan.reason}")
    due = kept if upgrade_due(planned.wanted.obj, kept) else None
    manifest = _manifest_diff(pool, ask, running, running.deployment, due=due)
    changed = tuple(_fields(kept.pool, pool))
    verdict = why if manifest or changed else "nothing changes"
    if manifest:
        verdict += f"; engine pods are replaced {_how(_strategy(pool, ask))}"
    return Difference(
        planned=after,
        verdict=verdict,
        rolls=bool(manifest),
        fields=changed,
        manifest=manifest,
        compared=True,
    )


def to_json(each: Difference) -> Object:
    """A difference for programs."""
    return {
        "namespace": each.planned.wanted.namespace,
        "name": each.planned.wanted.name,
        **plan_to_json(each.planned.plan),
        "diff": {
            "verdict": each.verdict,
            "rolls": each.rolls,
            "fields": [{"field": one.name, "before": one.before, "after": one.after} for one in each.fields],
            "manifest": each.manifest,
        },
    }


def _told(planned: Planned, verdict: str, *, after: Pool | None = None) -> Difference:
    fields = tuple(_fields(None, after)) if after else ()
    return Difference(planned=planned, verdict=verdict, rolls=False, fields=fields, manifest="", compared=False)


def _decided(planned: Planned, ask: Ask, kept: KeptPlan) -> tuple[Plan, Pool | None, str]:
    """The plan, the pool that would run, and why."""
    if kept.inputs == plan_inputs(ask.spec) and not upgrade_due(planned.wanted.obj, kept):
        return _as_plan(kept, kept.pool), kept.pool, "the plan is kept: nothing that planning reads changes"
    held = holds(
        pool=kept.pool,
        spec=ask.spec,
        name=ask.name,
        namespace=ask.namespace,
        inventory=ask.inventory,
        catalog=ask.catalog,
        config=ask.config,
    )
    if held.pool is not None:
        return _as_plan(kept, held.pool), held.pool, "the same candidate, with today's numbers"
    made = planned.plan
    pool = made.pools[0] if made.pools else None
    return made, pool, f"another plan, because {held.reason}"


def _as_plan(kept: KeptPlan, pool: Pool) -> Plan:
    return Plan(pools=(pool,), reason=kept.reason)


def _fields(before: Pool | None, after: Pool) -> Iterator[Field]:
    old = _flat(pool_to_json(before)) if before else {}
    new = _flat(pool_to_json(after))
    for name in new | old:
        if old.get(name) != new.get(name):
            yield Field(name=name, before=old.get(name), after=new.get(name))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields as `memory.weights`; arguments and environment are in the manifest."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            flat[f"{prefix}{name}"] = value
    return flat


def _strategy(pool: Pool, ask: Ask) -> Strategy:
    if ask.spec.rollout != "auto":
        return ask.spec.rollout
    spare = has_spare(pool=pool, namespace=ask.namespace, name=ask.name, inventory=ask.inventory)
    return "surge" if spare else "inPlace"


def _how(strategy: Strategy) -> str:
    return "with one replica more meanwhile" if strategy == "surge" else "in place"


def _manifest_diff(pool: Pool, ask: Ask, running: Running, deployment: Object, *, due: KeptPlan | None) -> str:
    """The Deployment as last applied against the one that would be; empty where the applied one goes on."""
    assert running.obj is not None
    rendered = render_engine(
        deployment=DeploymentIdentity(name=ask.name, namespace=ask.namespace, uid=running.obj["metadata"]["uid"]),
        spec=ask.spec,
        pools=[pool],
        config=ask.config,
        strategy=_strategy(pool, ask),
        operator_namespace=_ANYWHERE,
        measured_start=measured_start(running.obj),
    )
    name = names.pool_deployment(deployment=ask.name, pool=0)
    [new] = [each for each in rendered if each["kind"] == "Deployment" and each["metadata"]["name"] == name]
    if manifest_that_stays(deployment, rendered=new, spec=ask.spec, pool=pool, due=due) is not None:
        return ""
    old = _applied(deployment)
    lines = difflib.unified_diff(
        _text(old), _text(new), fromfile=f"Deployment/{name} as applied", tofile=f"Deployment/{name} as it would be"
    )
    return "".join(lines)


def _applied(deployment: Object) -> Object:
    inputs = _inputs(deployment)
    return (kept_manifest(deployment, inputs=inputs) if inputs else None) or {}


def _inputs(deployment: Object) -> str:
    try:
        found = yaml.safe_load((deployment["metadata"].get("annotations") or {})[names.APPLIED_ANNOTATION])["inputs"]
    except (KeyError, TypeError, yaml.YAMLError):
        return ""
    return str(found)


def _text(manifest: Object) -> list[str]:
    metadata = dict(manifest.get("metadata") or {})
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != CHECKSUM_ANNOTATION}
    shown = {**manifest, "metadata": {**metadata, "annotations": annotations}} if manifest else {}
    return yaml.safe_dump(shown, sort_keys=True, allow_unicode=True, width=1000).splitlines(keepends=True)
