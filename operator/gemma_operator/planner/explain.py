"""Sentences: why a pool was chosen, why each other candidate was not, what blocks a deployment and what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from gemma_operator.api.conditions import MESSAGES, Reason
from gemma_operator.catalog.types import Catalog
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.ask import Ask
from gemma_operator.planner.candidates import Candidate, Row, illegal
from gemma_operator.planner.evaluate import Evaluator, Fitting, Refused, describe
from gemma_operator.planner.fit import Fit
from gemma_operator.planner.order import PRECISIONS, Rank
from gemma_operator.planner.refusal import Refusal, Stage
from gemma_operator.planner.text import count, money, shape, size
from gemma_operator.planner.types import Plan, Rejection, Supply

_MOST_GPUS: Final = 8
"""GPUs of the largest usual node."""
_SUPPLY: Final = {
    Supply.FREE: "on free GPUs",
    Supply.PROVISIONABLE: "on nodes to be added",
    Supply.OCCUPIED: "once others leave",
}
_MEMORY_CODES: Final = ("WeightsTooLarge", "ContextTooLong", "TooFewSequences")
"""From far to near."""
_BLOCKED: Final = {
    Stage.OCCUPIED: Reason.INSUFFICIENT_CAPACITY,
    Stage.UNAVAILABLE: Reason.INSUFFICIENT_CAPACITY,
    Stage.QUOTA: Reason.QUOTA_EXCEEDED,
    Stage.COST: Reason.TOO_EXPENSIVE,
}
_NEXT: Final = {
    Reason.INSUFFICIENT_CAPACITY: "wait, delete or shrink what holds the GPUs, add a node, or raise spec.priority",
    Reason.QUOTA_EXCEEDED: "raise the ResourceQuota, or ask for less",
    Reason.TOO_EXPENSIVE: "raise maxCostPerHour, or lower model, context or scaling.min",
    Reason.NO_SUCH_ACCELERATOR: "add such a node, describe it under provisionable in the operator's configuration, or "
    "change spec.accelerators",
    Reason.NO_GPUS: "add a GPU node, describe one under provisionable in the operator's configuration, or list `cpu` "
    "in spec.accelerators",
    Reason.NOTHING_FITS: "lower context, concurrency or model, allow another precision, or add a larger GPU",
}
_OTHER_VERSION: Final = {
    "spec": "change spec.engineVersion, or remove it to get the operator's",
    "configuration": "change engine.version in the operator's configuration, or name another in spec.engineVersion",
}
"""Where it is the version of the engine, and not the hardware, that can serve nothing."""
_NO_IMAGE: Final = "change the engine's version, or name an image in engine.images of the operator's configuration"


def rejection(candidate: Candidate, refusal: Refusal) -> Rejection:
    """A candidate with the one reason against it."""
    return Rejection(
        model=candidate.model.key,
        precision=candidate.checkpoint.precision,
        engine=candidate.checkpoint.engine,
        accelerator=candidate.row.name,
        gpus_per_replica=0 if candidate.row.resource is None else candidate.gpus,
        reason=f"{describe(candidate)}: {refusal.reason}",
        code=refusal.code,
    )


def outranked(loser: Fitting, winner: Fitting) -> Refusal:
    """The first respect in which the chosen candidate is better."""
    lost, won = loser.rank, winner.rank
    differs = next((name for name, a, b in zip(Rank._fields, lost, won, strict=True) if a != b), "names")
    better, mine, best = describe(winner.candidate), loser.pool, winner.pool
    match differs:
        case "supply":
            reason = f"fits {_SUPPLY[mine.supply]} only; {better} fits {_SUPPLY[best.supply]}"
        case "quality":
            reason = f"fits, but {best.model} answers better"
        case "too_slow":
            reason = (
                f"fits, but decodes about {mine.decode_tokens_per_second:.0f} tokens/s (estimate), below "
                f"tokensPerSecond; {better} about {best.decode_tokens_per_second:.0f}"
            )
        case "preference":
            reason = f"fits, but {best.accelerator} comes earlier in spec.accelerators"
        case "cost":
            reason = f"fits, but costs {_cost(loser)} per hour and replica; {better} {_cost(winner)}"
        case "gpus_at_unknown_price" | "gpus":
            reason = f"fits, but takes {count(mine.gpus_per_replica, 'GPU')}; {better} takes {best.gpus_per_replica}"
        case "precision":
            reason = f"fits at the same price, but {best.precision} is more exact"
        case "kv_cache":
            reason = f"fits, but only with an fp8 KV cache; {better} needs none"
        case "batched_tokens":
            reason = f"fits, but with {mine.max_num_batched_tokens} batched tokens; {better} with more"
        case _:
            reason = f"fits as well as {better}; the choice between equals goes by name"
    return Refusal(Stage.OUTRANKED, "Outranked", reason)


def _cost(fitting: Fitting) -> str:
    cost = fitting.pool.cost_per_hour
    return "an unknown price" if cost is None else money(cost)


def chosen(winner: Fitting, ask: Ask) -> str:
    """Why this one, in one sentence."""
    pool = winner.pool
    supply = _SUPPLY[pool.supply].replace("GPUs", "CPUs") if pool.resource is None else _SUPPLY[pool.supply]
    where = f"{describe(winner.candidate)} {supply}"
    asked = "the best model that fits" if len(ask.models) > 1 else f"the best way to serve {pool.model}"
    cost = "" if pool.cost_per_hour is None else f", {money(pool.cost_per_hour * pool.replicas)} per hour"
    holds = f"{count(pool.sequences_typical, 'request')} of {min(ask.spec.typical_tokens, pool.max_model_len)} tokens"
    return f"{where}: {asked}; a replica holds {holds} or {pool.sequences_full} of {pool.max_model_len}{cost}"


def occupied(fitting: Fitting) -> Refusal:
    """A candidate whose GPUs others hold."""
    pool = fitting.pool
    asked = f"{pool.resources.cpu_millis / 1000:g} CPU and {size(pool.resources.memory_bytes)} memory"
    return Refusal(
        Stage.OCCUPIED,
        "Occupied",
        f"fits once others leave: now there is no room for {count(pool.replicas, 'replica')} of "
        f"{shape(pool.gpus_per_replica, pool.accelerator)} with {asked} each",
    )


def missing(names: Sequence[str], ask: Ask, *, catalog: Catalog) -> list[tuple[Candidate, Refusal]]:
    """Listed accelerators that are not here, once for each model."""
    found = []
    for place, name in enumerate(names):
        known = next((row for row in catalog.accelerators.values() if row.answers_to(name)), None)
        if known is None:
            continue
        row = Row(accelerator=known, resource=known.resource, preference=place, gpus=1)
        for key in ask.models:
            best = min(
                (c for c in catalog.checkpoints if c.model == key and ask.spec.precision in ("auto", c.precision)),
                key=lambda c: (c.engine != "vllm", PRECISIONS.index(c.precision), c.preference, c.repository),
                default=None,
            )
            if best is not None:
                candidate = Candidate(model=catalog.models[key], checkpoint=best, row=row, gpus=1)
                found.append((candidate, Refusal(Stage.ABSENT, "NoSuchNode", f"no node carries {name}")))
    return found


def with_alternatives(refused: Refused, evaluator: Evaluator) -> Refusal:
    """A memory refusal with what would fit instead: more GPUs of the row, or a smaller precision."""
    refusal, candidate = refused.refusal, refused.candidate
    if refusal.stage is not Stage.MEMORY:
        return refusal
    ways = []
    partitioned = candidate.row.accelerator.interconnect.lower() == "none" or candidate.row.accelerator.shared
    sizes = () if partitioned else candidate.model.architecture.tensor_parallel_sizes
    for gpus in sizes:
        if candidate.gpus < gpus <= _MOST_GPUS and _would_fit(replace(candidate, gpus=gpus), evaluator):
            ways.append(shape(gpus, candidate.row.name))
            break
    if evaluator.ask.spec.precision == "auto":
        mine = PRECISIONS.index(candidate.checkpoint.precision)
        others = sorted(
            (c for c in evaluator.catalog.checkpoints if c.model == candidate.model.key and c.engine == "vllm"),
            key=lambda c: (PRECISIONS.index(c.precision), c.preference),
        )
        for other in others:
            if PRECISIONS.index(other.precision) > mine and _would_fit(replace(candidate, checkpoint=other), evaluator):
                ways.append(other.precision)
                break
    if not ways:
        smaller = (
            "a larger GPU" if refusal.code == "WeightsTooLarge" else "less context or concurrency, or a larger GPU"
        )
        ways = [smaller]
    return refusal._replace(reason=f"{refusal.reason}; needs {' or '.join(ways)}")


def _would_fit(candidate: Candidate, evaluator: Evaluator) -> bool:
    legal = illegal(candidate, evaluator.ask, catalog=evaluator.catalog) is None
    return legal and isinstance(evaluator.fit(candidate), Fit)


def warnings(winner: Fitting, ask: Ask, *, missing: Sequence[str]) -> Iterable[str]:
    """What a person should know about a plan that fits."""
    pool = winner.pool
    if pool.decode_tokens_per_second < ask.spec.tokens_per_second:
        yield (
            f"estimated decode speed {pool.decode_tokens_per_second:.1f} tokens/s per request is below "
            f"tokensPerSecond {ask.spec.tokens_per_second:g}: lower concurrency, or list faster accelerators"
        )
    if pool.kv_cache_dtype != "auto":
        yield "the KV cache is kept in fp8, because it does not fit in full precision: less context would avoid it"
    if pool.cost_per_hour is None:
        yield f"{pool.accelerator} has no price: set one in the operator's configuration to compare costs"
    for name in missing:
        yield f"no node carries {name}, which spec.accelerators lists"


def blocked(
    ask: Ask,
    inventory: Inventory,
    *,
    refusals: Sequence[tuple[Candidate, Refusal]],
    missing: Sequence[str],
    rejected: tuple[Rejection, ...],
) -> Plan:
    """A plan without pools: what the best candidate lacks, and what to do."""
    here = [name for name, row in inventory.accelerators.items() if row.resource is not None]
    furthest = max(refusals, key=_closeness, default=None)
    if missing and (furthest is None or furthest[1].stage <= Stage.ABSENT):
        reason = Reason.NO_SUCH_ACCELERATOR
        text = MESSAGES[reason].format(
            accelerators=" or ".join(missing), available=", ".join(here) or "no GPU that the planner knows"
        )
    elif not here and furthest is None:
        reason = Reason.NO_GPUS
        text = MESSAGES[reason].format(detail=_unknown_gpus(inventory))
    elif furthest is None:
        reason = Reason.NOTHING_FITS
        text = MESSAGES[reason].format(detail=f"GPUs here are shared or unlisted: {', '.join(here)}")
    else:
        candidate, refusal = furthest
        reason = _BLOCKED.get(refusal.stage, Reason.NOTHING_FITS)
        text = _sentence(reason, candidate, refusal, ask, refusals)
    step = _NEXT[reason]
    if furthest is not None and furthest[1].stage is Stage.ENGINE:
        step = _other_engine({refusal.code for _, refusal in refusals}, ask)
    return Plan(pools=(), reason=text, rejected=rejected, blocked=reason.value, next_step=step)


def _other_engine(codes: set[str], ask: Ask) -> str:
    """What to do where every candidate fails because of its engine."""
    if "NoImage" in codes:
        return _NO_IMAGE
    if codes == {"EngineNotYet"}:
        return _NEXT[Reason.NOTHING_FITS]
    return _OTHER_VERSION["spec" if ask.spec.engine_version else "configuration"]


def _unknown_gpus(inventory: Inventory) -> str:
    """Nodes that hand out GPUs without saying which."""
    for node in inventory.nodes:
        resource = next(
            (name for name, has in sorted(node.allocatable.devices.items()) if has and name.endswith("/gpu")), None
        )
        if resource and all(carried.resource is None for carried in node.carries):
            return (
                f"node {node.name} offers {resource} and no label says which GPU that is: install GPU feature "
                "discovery, or add a row with a label of the node under accelerators in the operator's configuration"
            )
    return "GPUs are known by the labels of GFD, GKE, EKS, Karpenter, AKS, CoreWeave and AMD's labeller"


def _closeness(item: tuple[Candidate, Refusal]) -> tuple[int, int, float, int, int, str]:
    """How near a candidate came: by stage; short of memory, the one that needs least; else the best model."""
    candidate, refusal = item
    memory = refusal.stage is Stage.MEMORY
    return (
        refusal.stage,
        _MEMORY_CODES.index(refusal.code) if memory else 0,
        -candidate.checkpoint.weights_bytes / candidate.gpus if memory else 0.0,
        candidate.model.quality,
        -candidate.gpus,
        candidate.row.name,
    )


def _sentence(
    reason: Reason,
    candidate: Candidate,
    refusal: Refusal,
    ask: Ask,
    refusals: Sequence[tuple[Candidate, Refusal]],
) -> str:
    detail = f"{describe(candidate)}: {refusal.reason}"
    match reason:
        case Reason.TOO_EXPENSIVE if refusal.code == "TooExpensive" and ask.spec.max_cost_per_hour is not None:
            prices = [
                each.row.accelerator.price_per_hour * each.gpus * ask.replicas
                for each, why in refusals
                if why.code == "TooExpensive" and each.row.accelerator.price_per_hour is not None
            ]
            return MESSAGES[reason].format(cost=min(prices), cap=ask.spec.max_cost_per_hour)
        case Reason.QUOTA_EXCEEDED | Reason.TOO_EXPENSIVE:
            return detail
        case _:
            return MESSAGES[reason].format(detail=detail)
