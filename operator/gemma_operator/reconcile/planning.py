"""Keep a plan while it holds, or make a new one: one planner at a time for the whole fleet."""

import asyncio
import time
from typing import Final

from gemma_operator.api import names
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cluster import telemetry
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, NODES, PODS, QUOTAS, Object
from gemma_operator.cluster.store import Key, key_of
from gemma_operator.inventory.build import build_inventory, with_promises
from gemma_operator.inventory.types import Inventory, Promise
from gemma_operator.planner.order import planning_order
from gemma_operator.planner.plan import holds, plan, still_exists
from gemma_operator.planner.serialize import promise_of
from gemma_operator.planner.spare import has_spare
from gemma_operator.planner.types import Plan, Pool
from gemma_operator.reconcile.kept import KeptPlan, kept_plan, plan_inputs, upgrade_due
from gemma_operator.reconcile.observed import Decision
from gemma_operator.reconcile.specs import parse_spec
from gemma_operator.reconcile.world import World

PLANNED_FROM: Final = (NODES, PODS, DEPLOYMENTS, QUOTAS)
"""What an inventory is made of."""


async def decide(world: World, obj: Object, *, spec: GemmaDeploymentSpec, deployment: Object | None) -> Decision:
    """Keep the plan on the pool's Deployment, adapt its numbers, or plan anew."""
    kept = kept_plan(deployment) if deployment else None
    stuck = kept is not None and _needs_another(world, obj)
    if kept is not None and kept.inputs == plan_inputs(spec) and not stuck and not upgrade_due(obj, kept):
        return Decision(plan=kept, pools=(kept.pool,), spare=False)
    async with world.planning:
        key = key_of(obj)
        if kept is None:
            return await _first_plan(world, key, spec=spec)
        stock = await inventory(world)
        return await asyncio.to_thread(_adapt, world, key, spec, kept, stock, stuck)


async def _first_plan(world: World, key: Key, *, spec: GemmaDeploymentSpec) -> Decision:
    if key not in world.planned:
        await _plan_all(world, upto=key)
    made, inputs = world.planned.pop(key)
    if inputs != plan_inputs(spec):
        # The spec changed between the batch and this worker: plan this one again, on the same ledger.
        world.promises.pop(key, None)
        await _plan_all(world, upto=key)
        made, _ = world.planned.pop(key)
    return Decision(plan=made, pools=made.pools, spare=False)


async def _plan_all(world: World, *, upto: Key) -> None:
    """Plan every GemmaDeployment that has no pool yet, in order, on one ledger.

    Those after this one that found nothing before are left out: nothing that frees capacity was seen since.
    """
    waiting = [
        obj
        for obj in sorted(world.stores[GEMMA_DEPLOYMENTS], key=planning_order)
        if key_of(obj) == upto or _is_unplanned(world, obj)
    ]
    position = next(index for index, obj in enumerate(waiting) if key_of(obj) == upto)
    chosen = waiting[: position + 1] + [obj for obj in waiting[position + 1 :] if key_of(obj) not in world.blocked]
    batch = [(key_of(obj), spec) for obj in chosen if (spec := parse_spec(obj)[0]) is not None]
    stock = await inventory(world)
    started = time.perf_counter()
    results = await asyncio.to_thread(_plan_batch, world, batch, stock)
    telemetry.PLAN_SECONDS.observe(time.perf_counter() - started)
    for (key, spec), made in zip(batch, results, strict=True):
        obj = world.stores[GEMMA_DEPLOYMENTS].get(key)
        if key != upto and (obj is None or obj["metadata"].get("deletionTimestamp")):
            continue  # its worker saw that it goes, so that nobody would take back a promise made now
        telemetry.PLANS.labels(outcome=made.blocked or "planned").inc()
        world.planned[key] = (made, plan_inputs(spec))
        if made.pools:
            world.promises[key] = made.pools
            world.blocked.discard(key)
        else:
            world.promises.pop(key, None)
            world.blocked.add(key)


def _plan_batch(world: World, batch: list[tuple[Key, GemmaDeploymentSpec]], inventory: Inventory) -> list[Plan]:
    results = []
    for (namespace, name), spec in batch:
        made = plan(
            spec=spec,
            name=name,
            namespace=namespace,
            inventory=inventory,
            catalog=world.catalog,
            config=world.config,
        )
        results.append(made)
        inventory = with_promises(
            inventory,
            [promise_of(pool, namespace=namespace, name=name, index=index) for index, pool in enumerate(made.pools)],
        )
    return results


def _adapt(
    world: World, key: Key, spec: GemmaDeploymentSpec, kept: KeptPlan, inventory: Inventory, stuck: bool
) -> Decision:
    namespace, name = key

    def spare(pool: Pool) -> bool:
        return has_spare(
            pool=pool,
            namespace=namespace,
            name=name,
            inventory=inventory,
            priority_class=spec.pod.priority_class_name,
        )

    gone = still_exists(pool=kept.pool, inventory=inventory) if stuck else ""
    catalog, config = world.catalog, world.config
    held = holds(
        pool=kept.pool,
        spec=spec,
        name=name,
        namespace=namespace,
        inventory=inventory,
        catalog=catalog,
        config=config,
    )
    if held.pool is not None and not gone:
        world.promises[key] = (held.pool,)
        return Decision(plan=kept, pools=(held.pool,), spare=spare(held.pool))
    made = plan(spec=spec, name=name, namespace=namespace, inventory=inventory, catalog=catalog, config=config)
    telemetry.PLANS.labels(outcome=made.blocked or "replanned").inc()
    if not made.pools:
        # What runs stays: a plan that cannot be replaced is better than none.
        return Decision(plan=made, pools=(), spare=False)
    world.promises[key] = made.pools
    logger().info("%s/%s re-planned: %s", namespace, name, gone or held.reason)
    return Decision(plan=made, pools=made.pools, spare=spare(made.pools[0]))


async def inventory(world: World) -> Inventory:
    """The cluster as the caches show it, with everything that is promised; the same one while neither changes.

    When GPUs are short, every deployment of a large fleet asks at once.
    """
    promises = _promises(world)
    doomed = frozenset(key_of(obj) for obj in world.stores[DEPLOYMENTS] if _is_doomed(world, obj))
    basis = (*(world.stores[kind].revision for kind in PLANNED_FROM), doomed, *promises)
    if world.stock is not None and world.stock[0] == basis:
        return world.stock[1]
    made = await asyncio.to_thread(
        build_inventory,
        nodes=list(world.stores[NODES]),
        pods=list(world.stores[PODS]),
        deployments=[obj for obj in world.stores[DEPLOYMENTS] if key_of(obj) not in doomed],
        quotas=list(world.stores[QUOTAS]),
        promises=promises,
        catalog=world.catalog,
        config=world.config,
        memo=world.memo,
    )
    world.stock = (basis, made)
    return made


def _is_doomed(world: World, deployment: Object) -> bool:
    """Whether it goes, with its GemmaDeployment or its namespace: it claims no GPU for pods that it lacks."""
    metadata = deployment["metadata"]
    if metadata["namespace"] in world.events.ending:
        return True
    name = (metadata.get("labels") or {}).get(names.DEPLOYMENT_LABEL)
    owner = world.stores[GEMMA_DEPLOYMENTS].get((metadata["namespace"], name)) if name else None
    return name is not None and (owner is None or bool(owner["metadata"].get("deletionTimestamp")))


def _promises(world: World) -> list[Promise]:
    return [
        promise_of(pool, namespace=namespace, name=name, index=index)
        for (namespace, name), pools in sorted(world.promises.items())
        for index, pool in enumerate(pools)
    ]


def _is_unplanned(world: World, obj: Object) -> bool:
    key = key_of(obj)
    if obj["metadata"].get("deletionTimestamp") or key in world.promises:
        return False
    if names.PAUSED_ANNOTATION in (obj["metadata"].get("annotations") or {}):
        return False
    owned = world.stores[DEPLOYMENTS].by((key[0], names.DEPLOYMENT_LABEL, key[1]))
    return not any(kept_plan(deployment) for deployment in owned)


def _needs_another(world: World, obj: Object) -> bool:
    """Whether no replica finds room where it was planned: single ones too many are the scaler's to take back."""
    scaler = world.scalers.get(key_of(obj))
    return scaler is not None and (scaler.asleep_without_room or scaler.stranded)
