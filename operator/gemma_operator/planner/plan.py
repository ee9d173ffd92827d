"""The plan of one deployment, and whether a plan that runs still holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.types import Catalog
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner import explain
from gemma_operator.planner.ask import Ask, ask_of
from gemma_operator.planner.candidates import Candidate, absent, candidates, rows
from gemma_operator.planner.evaluate import Evaluator, Fitting, Refused
from gemma_operator.planner.refusal import Refusal, Stage
from gemma_operator.planner.types import Plan, Pool, Rejection, Supply


def plan(
    *,
    spec: GemmaDeploymentSpec,
    name: str,
    namespace: str,
    inventory: Inventory,
    catalog: Catalog,
    config: OperatorConfig,
) -> Plan:
    """The best pool for a deployment on this inventory, why, and every other candidate with one reason against it.

    Its own pods and claims count as free. `pools` is empty when nothing fits now or on nodes to be added: then
    `blocked` is a reason constant, and `next_step` what a person can do.
    """
    ask = ask_of(spec=spec, name=name, namespace=namespace, catalog=catalog, config=config)
    evaluator = Evaluator(ask=ask, inventory=inventory, catalog=catalog)
    fitting, refused = _judged(evaluator)
    fitting.sort(key=lambda each: each.rank)
    winner = fitting[0] if fitting and fitting[0].pool.supply < Supply.OCCUPIED else None
    refusals = [
        (each.candidate, explain.outranked(each, winner) if winner else explain.occupied(each))
        for each in (fitting[1:] if winner else fitting)
    ]
    refusals += [(each.candidate, explain.with_alternatives(each, evaluator)) for each in refused]
    missing = absent(inventory, ask)
    refusals += explain.missing(missing, ask, catalog=catalog)
    rejected = tuple(_interleaved(explain.rejection(*each) for each in _nearest_first(refusals)))
    if winner is not None:
        return Plan(
            pools=(winner.pool,),
            reason=explain.chosen(winner, ask),
            rejected=rejected,
            warnings=tuple(explain.warnings(winner, ask, missing=missing)),
        )
    return explain.blocked(ask, inventory, refusals=refusals, missing=missing, rejected=rejected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Whether a pool still holds: the pool with today's numbers, or `None` and why."""

    pool: Pool | None
    reason: str = ""


def holds(
    *,
    pool: Pool,
    spec: GemmaDeploymentSpec,
    name: str,
    namespace: str,
    inventory: Inventory,
    catalog: Catalog,
    config: OperatorConfig,
) -> Held:
    """The same candidate under today's spec: unchanged, with new numbers, or no longer possible.

    More replicas than GPUs do not end a plan that runs: room for one replica is enough.
    """
    wanted = ask_of(spec=spec, name=name, namespace=namespace, catalog=catalog, config=config)
    ask = replace(wanted, replicas=1)
    evaluator = Evaluator(ask=ask, inventory=inventory, catalog=catalog)
    same = _same(pool, evaluator)
    if same is None:
        return Held(pool=None, reason=_why_gone(pool, wanted, inventory))
    found = evaluator.judge_one(same)
    if isinstance(found, Refused):
        return Held(pool=None, reason=explain.rejection(found.candidate, found.refusal).reason)
    if found.pool.supply is Supply.OCCUPIED:
        return Held(pool=None, reason=explain.rejection(same, explain.occupied(found)).reason)
    cost, cap = found.pool.cost_per_hour, spec.max_cost_per_hour
    if cap is not None and cost is not None and cost * wanted.replicas > cap:
        too_expensive = replace(evaluator, ask=wanted).judge_one(same)
        if isinstance(too_expensive, Refused):
            return Held(pool=None, reason=explain.rejection(same, too_expensive.refusal).reason)
    return Held(pool=replace(found.pool, replicas=wanted.replicas))


def still_exists(*, pool: Pool, inventory: Inventory) -> str:
    """Why the accelerator of a pool is gone: no node carries it and none would be added; empty while one does."""
    for node in inventory.carrying(pool.accelerator):
        if any(c.accelerator.name == pool.accelerator and c.resource == pool.resource for c in node.carries):
            return ""
    return f"no node carries {pool.accelerator} any more: add one, or let the plan change"


def _judged(evaluator: Evaluator) -> tuple[list[Fitting], list[Refused]]:
    fitting: list[Fitting] = []
    refused: list[Refused] = []
    for row in rows(evaluator.inventory, evaluator.ask):
        for group in candidates(row, evaluator.ask, catalog=evaluator.catalog):
            found = evaluator.judge(group)
            if isinstance(found, Fitting):
                fitting.append(found)
            else:
                refused.append(found)
    return fitting, refused


def _same(pool: Pool, evaluator: Evaluator) -> Candidate | None:
    for row in rows(evaluator.inventory, evaluator.ask):
        if (row.name, row.resource) != (pool.accelerator, pool.resource):
            continue
        for group in candidates(row, evaluator.ask, catalog=evaluator.catalog):
            for candidate in group:
                gpus = candidate.gpus if row.resource else 0
                mine = (candidate.model.key, candidate.checkpoint.repository, candidate.checkpoint.precision, gpus)
                if mine == (pool.model, pool.checkpoint, pool.precision, pool.gpus_per_replica):
                    return candidate
    return None


def _why_gone(pool: Pool, ask: Ask, inventory: Inventory) -> str:
    if gone := still_exists(pool=pool, inventory=inventory):
        return gone
    if pool.model not in ask.models:
        return f"the spec no longer allows {pool.model}"
    if ask.spec.precision not in ("auto", pool.precision):
        return f"the spec asks for precision {ask.spec.precision} and {pool.precision} runs"
    if ask.spec.accelerators:
        return f"spec.accelerators no longer lists {pool.accelerator}"
    return f"{pool.gpus_per_replica}×{pool.accelerator} with {pool.checkpoint} is no longer a candidate"


def _nearest_first(refusals: Iterable[tuple[Candidate, Refusal]]) -> list[tuple[Candidate, Refusal]]:
    """Those that came furthest first; what is not supported yet last."""
    return sorted(
        refusals,
        key=lambda item: (
            item[1].stage is Stage.ENGINE,
            item[0].row.preference,
            item[0].gpus,
            -item[1].stage,
            item[0].checkpoint.preference,
            item[0].checkpoint.precision,
            item[0].row.name,
            item[0].row.resource or "",
            item[0].checkpoint.repository,
        ),
    )


def _interleaved(rejections: Iterable[Rejection]) -> Sequence[Rejection]:
    """Models in turn, so that a short list shows each of them."""
    turns: dict[str, int] = {}
    numbered = []
    for place, each in enumerate(rejections):
        turns[each.model] = turn = turns.get(each.model, -1) + 1
        numbered.append((turn, place, each))
    return [each for _, _, each in sorted(numbered, key=lambda item: item[:2])]
