"""What would change a plan: GPUs, nodes and fields of the spec varied one at a time, planned anew. Pure.

A change is told only where the planner itself would choose something better with it, or something where it had nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.types import Accelerator, Catalog
from gemma_operator.cli.planning import Planned
from gemma_operator.inventory.imagine import with_free_gpus, with_node
from gemma_operator.inventory.matching import untolerated
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.order import rank
from gemma_operator.planner.plan import plan
from gemma_operator.planner.text import count, money, shape
from gemma_operator.planner.types import Plan, Pool, Supply

MOST: Final = 5
_GPUS: Final = (1, 2, 3, 4, 6, 8)
_COMPARED: Final = 8
"""Fields of a rank that people care about: up to the KV cache's precision, without counts of GPUs and names."""
_SHORTER: Final = (2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is planned, and on what."""

    spec: GemmaDeploymentSpec
    name: str
    namespace: str
    inventory: Inventory
    catalog: Catalog
    config: OperatorConfig


def ask_of(planned: Planned, *, catalog: Catalog, config: OperatorConfig) -> Ask:
    """What a deployment was planned from."""
    wanted = planned.wanted
    return Ask(
        spec=wanted.spec,
        name=wanted.name,
        namespace=wanted.namespace,
        inventory=planned.inventory,
        catalog=catalog,
        config=config,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """One change and the plan that it would give."""

    kind: str
    """One word for programs."""
    change: str
    """For people, such as `1 free l40s more`."""
    how: str
    """What to do or write; empty where the change says it."""
    pool: Pool
    result: str
    """What would run, against what runs or would run now."""


@dataclass(frozen=True, slots=True)
class _Variant:
    kind: str
    subject: str
    """Variants of one kind and subject are steps of one change, the smallest first."""
    change: str
    how: str
    ask: Ask


def what_ifs(ask: Ask, *, now: Plan, most: int = MOST) -> list[WhatIf]:
    """Changes that would give a better plan, best first; of several steps of one change the smallest that helps."""
    before = _merit(now, ask)
    found: dict[tuple[str, str], tuple[tuple[Any, ...], int, WhatIf]] = {}
    for number, variant in enumerate(_variants(ask, blocked=not now.pools)):
        key = (variant.kind, variant.subject)
        if key in found:
            continue
        made = _plan(variant.ask)
        merit = _merit(made, ask)
        if made.pools and merit < before:
            told = WhatIf(
                kind=variant.kind,
                change=variant.change,
                how=variant.how,
                pool=made.pools[0],
                result=_result(made.pools[0], now.pools[0] if now.pools else None),
            )
            found[key] = (merit, number, told)
    return _chosen(sorted(found.values(), key=lambda each: each[:2]), most=most)


def _chosen(ranked: list[tuple[tuple[Any, ...], int, WhatIf]], *, most: int) -> list[WhatIf]:
    """The best of each kind before a second of any, so that ten GPUs to buy do not hide a node to uncordon."""
    firsts: dict[str, int] = {}
    for number, (_, _, told) in enumerate(ranked):
        firsts.setdefault(told.kind, number)
    seconds = [number for number in range(len(ranked)) if number not in firsts.values()]
    taken = sorted([*firsts.values(), *seconds][:most])
    return [ranked[number][2] for number in taken]


def _plan(ask: Ask) -> Plan:
    return plan(
        spec=ask.spec,
        name=ask.name,
        namespace=ask.namespace,
        inventory=ask.inventory,
        catalog=ask.catalog,
        config=ask.config,
    )


def _merit(made: Plan, ask: Ask) -> tuple[Any, ...]:
    """The smaller the better, as the planner orders candidates; the order of accelerators is that of the real spec."""
    if not made.pools:
        return (inf,)
    pool, listed = made.pools[0], [each.lower() for each in ask.spec.accelerators]
    row = ask.catalog.accelerators.get(pool.accelerator)
    names = (pool.accelerator, *(row.also if row else ()))
    place = next((index for index, name in enumerate(listed) if name in names), len(listed))
    quality = ask.catalog.models[pool.model].quality
    return tuple(rank(pool, quality=quality, preference=place, floor=ask.spec.tokens_per_second)[:_COMPARED])


def _variants(ask: Ask, *, blocked: bool) -> Iterator[_Variant]:
    yield from _more_gpus(ask, blocked=blocked)
    yield from _closed_nodes(ask)
    yield from _without_quotas(ask)
    yield from _spec_changes(ask, blocked=blocked)


def _more_gpus(ask: Ask, *, blocked: bool) -> Iterator[_Variant]:
    tolerations = [*ask.config.engine.tolerations, *ask.spec.pod.tolerations]
    for row in _rows(ask, blocked=blocked):
        for gpus in _GPUS:
            imagined = with_free_gpus(
                ask.inventory,
                accelerator=row,
                gpus=gpus,
                selector=ask.spec.pod.node_selector,
                tolerations=tolerations,
            )
            where = "" if gpus == 1 else " on one node"
            kind = "gpus" if row.name in ask.inventory.accelerators else "newGpus"
            yield _Variant(kind, row.name, f"{gpus} free {row.name} more{where}", "", _on(ask, imagined))


def _rows(ask: Ask, *, blocked: bool) -> list[Accelerator]:
    """Rows that the cluster has or would add; where nothing fits, every whole GPU of the catalog, cheapest first."""
    here = [row for row in ask.inventory.accelerators.values() if row.resource is not None and not row.shared]
    if not blocked:
        return here
    known = {row.name for row in here}
    others = [
        row
        for row in ask.catalog.accelerators.values()
        if row.name not in known
        and row.resource is not None
        and row.price_per_hour is not None
        and not row.shared
        and row.interconnect.lower() != "none"
    ]
    return here + sorted(others, key=lambda row: (row.price_per_hour, row.name))


def _closed_nodes(ask: Ask) -> Iterator[_Variant]:
    tolerations = [*ask.config.engine.tolerations, *ask.spec.pod.tolerations]
    taints: dict[str, Any] = {}
    for index, node in enumerate(ask.inventory.nodes):
        if not any(carried.resource for carried in node.carries):
            continue
        if node.unavailable:
            open_again = _on(ask, with_node(ask.inventory, index, replace(node, unavailable="")))
            how = (
                f"kubectl uncordon {node.name}"
                if node.unavailable == "cordoned"
                else f"kubectl describe node {node.name}"
            )
            rows = ",".join(carried.accelerator.name for carried in node.carries if carried.resource)
            yield _Variant(
                node.unavailable,
                rows,
                f"node {node.name}, which is {node.unavailable}, takes pods again",
                how,
                open_again,
            )
        for taint in untolerated(node.taints, tolerations):
            taints.setdefault(str(taint), taint)
    for text, taint in sorted(taints.items()):
        toleration = {"key": taint.key, "operator": "Exists", "effect": taint.effect}
        pod = ask.spec.pod.model_copy(update={"tolerations": [*ask.spec.pod.tolerations, toleration]})
        how = f"spec.pod.tolerations: [{{key: {taint.key}, operator: Exists, effect: {taint.effect}}}]"
        yield _Variant("toleration", text, f"the taint {text} tolerated", how, _with(ask, pod=pod))


def _without_quotas(ask: Ask) -> Iterator[_Variant]:
    quotas = ask.inventory.quotas.get(ask.namespace, ())
    if quotas:
        names = ", ".join(quota.name for quota in quotas)
        left = {key: value for key, value in ask.inventory.quotas.items() if key != ask.namespace}
        how = f"raise ResourceQuota {names} of namespace {ask.namespace}"
        yield _Variant(
            "quota",
            names,
            "more room in the quota of the namespace",
            how,
            _on(ask, replace(ask.inventory, quotas=left)),
        )


def _spec_changes(ask: Ask, *, blocked: bool) -> Iterator[_Variant]:
    spec = ask.spec
    replicas = spec.scaling.min if spec.replicas is None else spec.replicas
    if replicas > 1:
        smaller = (
            _with(ask, replicas=1)
            if spec.replicas is not None
            else _with(ask, scaling=spec.scaling.model_copy(update={"min": 1}))
        )
        field = "replicas" if spec.replicas is not None else "scaling.min"
        yield _Variant("replicas", field, "1 replica at first", f"spec.{field}: 1", smaller)
    for part in _SHORTER:
        if spec.context // part >= 1024:
            shorter, typical = spec.context // part, min(spec.typical_tokens, spec.context // part)
            half = "half" if part == 2 else "a quarter of"
            yield _Variant(
                "context",
                "",
                f"{half} the context",
                f"spec.context: {shorter}",
                _with(ask, context=shorter, typical_tokens=typical),
            )
    for part in _SHORTER:
        if spec.concurrency // part:
            fewer = spec.concurrency // part
            half = "half" if part == 2 else "a quarter of"
            yield _Variant(
                "concurrency",
                "",
                f"{half} the requests at once",
                f"spec.concurrency: {fewer}",
                _with(ask, concurrency=fewer),
            )
    if spec.precision != "auto":
        yield _Variant("precision", "", "any precision", "spec.precision: auto", _with(ask, precision="auto"))
    if spec.accelerators:
        yield _Variant("accelerators", "", "any accelerator", "remove spec.accelerators", _with(ask, accelerators=[]))
    if spec.max_cost_per_hour is not None:
        yield _Variant(
            "cost", "", "no cap on the price", "raise spec.maxCostPerHour", _with(ask, max_cost_per_hour=None)
        )
    if spec.engine_version is not None:
        yield _Variant(
            "engineVersion",
            "",
            "the operator's engine version",
            "remove spec.engineVersion",
            _with(ask, engine_version=None),
        )
    if not blocked:
        return
    if spec.model != "auto":
        yield _Variant("model", "", "another model of the family", "spec.model: auto", _with(ask, model="auto"))
    if spec.at_least is not None:
        yield _Variant("atLeast", "", "no lower bound for the model", "remove spec.atLeast", _with(ask, at_least=None))
    if spec.features.images or spec.features.audio:
        text_only = spec.features.model_copy(update={"images": None, "audio": None})
        yield _Variant(
            "features", "", "text alone", "remove features.images and features.audio", _with(ask, features=text_only)
        )


def _on(ask: Ask, inventory: Inventory) -> Ask:
    return replace(ask, inventory=inventory)


def _with(ask: Ask, **changes: Any) -> Ask:
    return replace(ask, spec=ask.spec.model_copy(update=changes))


def _result(pool: Pool, now: Pool | None) -> str:
    if now is None:
        return _told(pool)
    if _told(pool) == _told(now):
        return (
            f"{_told(pool)}, about {pool.decode_tokens_per_second:.0f} tokens/s for each request instead of "
            f"{now.decode_tokens_per_second:.0f} (estimate)"
        )
    return f"{_told(pool)}; now {_told(now)}"


def _told(pool: Pool) -> str:
    runs = f"{pool.model} {pool.precision} on {shape(pool.gpus_per_replica, pool.accelerator)}"
    return f"{runs}{_supply(pool)}, {_cost(pool)}"


def _supply(pool: Pool) -> str:
    return " on nodes to be added" if pool.supply is Supply.PROVISIONABLE else ""


def _cost(pool: Pool) -> str:
    if pool.cost_per_hour is None:
        return "price unknown"
    return f"{money(pool.cost_per_hour * pool.replicas)} per hour for {count(pool.replicas, 'replica')}"
