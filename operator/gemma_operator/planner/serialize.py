"""Plans as JSON: the form of the annotation on a pool's Deployment, of status, and of `kubectl gemma plan -o json`."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from pydantic.alias_generators import to_camel

from gemma_operator.inventory.types import Placement, Promise
from gemma_operator.planner.resources import amounts
from gemma_operator.planner.types import Memory, Plan, Pool, Rejection, Resources, Supply

Json = dict[str, Any]


def _camel(values: Mapping[str, Any]) -> Json:
    return {to_camel(name): value for name, value in values.items()}


def _from_camel(kind: type[Any], values: Mapping[str, Any]) -> Any:
    return kind(**{each.name: values[to_camel(each.name)] for each in fields(kind) if to_camel(each.name) in values})


def _word(supply: Supply) -> str:
    """`Free`, `Provisionable` or `Occupied`, as in status."""
    return supply.name.capitalize()


def pool_to_json(pool: Pool) -> Json:
    """A pool; keys are stable, `pool_from_json` gives it back exactly."""
    found = _camel({each.name: getattr(pool, each.name) for each in fields(pool)})
    found |= {
        "supply": _word(pool.supply),
        "memory": _camel(asdict(pool.memory)),
        "resources": _camel(asdict(pool.resources)),
        "nodeSelector": dict(pool.node_selector),
        "nodeSelectorTerms": [dict(term) for term in pool.node_selector_terms],
        "tolerations": [dict(each) for each in pool.tolerations],
        "args": list(pool.args),
        "env": [{"name": name, "value": value} for name, value in pool.env],
        "inferred": list(pool.inferred),
    }
    return found


def pool_from_json(values: Mapping[str, Any]) -> Pool:
    """The pool that `pool_to_json` wrote; raises `KeyError` or `TypeError` for anything else."""
    supplies = {_word(supply): supply for supply in Supply}
    plain = {each.name: values[to_camel(each.name)] for each in fields(Pool) if to_camel(each.name) in values}
    plain |= {
        "supply": supplies[values["supply"]],
        "memory": _from_camel(Memory, values["memory"]),
        "resources": _from_camel(Resources, values["resources"]),
        "node_selector_terms": tuple(values["nodeSelectorTerms"]),
        "tolerations": tuple(values["tolerations"]),
        "args": tuple(values["args"]),
        "env": tuple((each["name"], each["value"]) for each in values["env"]),
        "inferred": tuple(values.get("inferred", ())),
    }
    return Pool(**plain)


def rejection_to_json(rejection: Rejection) -> Json:
    """A rejected candidate."""
    return _camel(asdict(rejection))


def plan_to_json(plan: Plan) -> Json:
    """A plan as `kubectl gemma plan -o json` prints it."""
    body: Json = {"pools": [pool_to_json(pool) for pool in plan.pools], "reason": plan.reason}
    if plan.blocked:
        body |= {"blocked": plan.blocked, "nextStep": plan.next_step}
    if plan.warnings:
        body["warnings"] = list(plan.warnings)
    return {"plan": body, "rejected": [rejection_to_json(each) for each in plan.rejected]}


def promise_of(pool: Pool, *, namespace: str, name: str, index: int = 0, replicas: int | None = None) -> Promise:
    """What a pool claims in the ledger: the plan's replicas unless given."""
    return Promise(
        namespace=namespace,
        name=name,
        pool=index,
        replicas=pool.replicas if replicas is None else replicas,
        requests=amounts(pool.resources, resource=pool.resource, gpus=pool.gpus_per_replica),
        placement=Placement(selector=pool.node_selector, terms=pool.node_selector_terms, tolerations=pool.tolerations),
    )
