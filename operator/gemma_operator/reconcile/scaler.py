"""One look of the scaler at one GemmaDeployment: signals → decision → target, which a reconcile then carries out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gemma_operator.api import names
from gemma_operator.api.conditions import SCALED
from gemma_operator.api.spec import GemmaDeploymentSpec, seconds
from gemma_operator.cluster import telemetry
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, PODS, Object
from gemma_operator.cluster.scrape import Scraper
from gemma_operator.cluster.store import Key
from gemma_operator.planner.supply import Room, affordable, room
from gemma_operator.planner.types import Pool
from gemma_operator.reconcile import rollback, signals, unschedulable
from gemma_operator.reconcile.kept import kept_plan
from gemma_operator.reconcile.planning import inventory
from gemma_operator.reconcile.pods import created, has_started, is_ready, startup_seconds
from gemma_operator.reconcile.replicas import Queue, Scaler, decided_by_operator
from gemma_operator.reconcile.signals import RouterView
from gemma_operator.reconcile.specs import is_paused, parse_spec
from gemma_operator.reconcile.world import World
from gemma_operator.render.budget import startup_budget_seconds
from gemma_operator.scaling import (
    Bounds,
    Candidate,
    Decision,
    Kind,
    Observation,
    PendingPod,
    PodSample,
    Settings,
    decide,
    victim,
)

_NO_NODE = "the scheduler found no node"
SHOWN_SECONDS = 30
"""Status shows a new queue at most this often."""
_UNKNOWN = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A GemmaDeployment that runs, or sleeps, with what the scaler needs of it."""

    key: Key
    obj: Object
    spec: GemmaDeploymentSpec
    deployment: Object
    pool: Pool
    replicas: int
    """Replicas that its Deployment asks for."""

    @property
    def asleep(self) -> bool:
        """Whether no replica is asked for."""
        return self.replicas == 0

    @property
    def router(self) -> Key | None:
        """Its router."""
        return (self.key[0], self.spec.router.name) if self.spec.router.enabled else None


def subjects(world: World, *, asleep: bool | None = None) -> list[Subject]:
    """Every GemmaDeployment that has a pool and is neither paused nor being deleted; only those asleep, or awake."""
    found = []
    for obj in world.stores[GEMMA_DEPLOYMENTS]:
        spec, _ = parse_spec(obj)
        metadata = obj["metadata"]
        if spec is None or is_paused(obj) or metadata.get("deletionTimestamp"):
            continue
        key = (metadata["namespace"], metadata["name"])
        deployment = world.stores[DEPLOYMENTS].get((key[0], names.pool_deployment(deployment=key[1], pool=0)))
        replicas = int((deployment or {}).get("spec", {}).get("replicas") or 0)
        if deployment is None or (asleep is not None and asleep is not (replicas == 0)):
            continue
        if (kept := kept_plan(deployment)) is not None:
            found.append(Subject(key=key, obj=obj, spec=spec, deployment=deployment, pool=kept.pool, replicas=replicas))
    return found


async def look(world: World, scraper: Scraper, subject: Subject, *, now: float, router: RouterView | None) -> bool:
    """Take the signals of one GemmaDeployment and decide; whether it has to be reconciled.

    `now` is a time of a clock that never goes back. `router` is what its router reports, if it was asked.
    """
    scaler = world.scalers.setdefault(subject.key, Scaler())
    scaler.ages.look(now)
    pods = [
        pod
        for pod in world.pods(namespace=subject.key[0], label=names.DEPLOYMENT_LABEL, value=subject.key[1])
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]
    samples = await signals.read_engines(scraper, pods, at=now, ages=scaler.ages)
    samples = signals.with_last(samples, scaler.samples, pods, at=now)
    scaler.samples = {each.pod: each for each in samples}
    starts = _starts(subject, scaler, pods, since=world.leading_since)
    seen = _observation(subject, scaler, pods, samples, now=now, router=router, starts=starts)
    changed = _show_queue(subject, scaler, seen)
    waited = _waits(scaler, pods, now=now)
    before, scaler.stranded = scaler.stranded, await unschedulable.stranded(world, pods, waited=waited)
    changed |= before != scaler.stranded
    if not decided_by_operator(subject.spec):
        scaler.target, scaler.limit, scaler.blind = None, "", ""
        return _watch(world, subject, scaler, seen) or changed
    return await _decide(world, subject, scaler, seen, pods, waited) or changed


def _observation(
    subject: Subject,
    scaler: Scaler,
    pods: Sequence[Object],
    samples: Sequence[PodSample],
    *,
    now: float,
    router: RouterView | None,
    starts: Sequence[float],
) -> Observation:
    alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    ready = [pod for pod in alive if is_ready(pod)]
    # One that did not answer now counts with its last sample, but nothing shrinks or sleeps for it.
    sampled = {each.pod for each in samples if each.at == now}
    counts = router.counts(subject.key[1]) if router is not None else None
    return Observation(
        at=now,
        samples=tuple(samples),
        ready=len(ready),
        pending=tuple(
            PendingPod(pod["metadata"]["name"], age=scaler.loading(pod)) for pod in alive if not is_ready(pod)
        ),
        current=subject.replicas,
        held=(counts.held if counts else None) if subject.spec.router.enabled else 0,
        held_at_least=router.at_least(subject.key[1]).held if router is not None else 0,
        in_flight=counts.in_flight if counts else None,
        startups=tuple(starts),
        unsampled=sum(pod["metadata"]["name"] not in sampled for pod in ready),
    )


def _starts(subject: Subject, scaler: Scaler, pods: Sequence[Object], *, since: datetime) -> list[float]:
    """Seconds from created to Ready of the pods that became Ready since the last look.

    An older pod whose engine runs at the first look tells nothing: its last Ready may have followed a moment in which
    it was not. Nor do the starts of another pool.
    """
    pool = (subject.pool.checkpoint, subject.pool.accelerator, subject.pool.gpus_per_replica)
    if scaler.pool and scaler.pool != pool:
        scaler.news = True
        scaler.starts.clear()
    elif not scaler.pool:
        before = (subject.obj.get("status") or {}).get("startup") or {}
        scaler.state = replace(scaler.state, startup=before.get("p90Seconds"))
    scaler.pool = pool
    by_uid = {pod["metadata"]["uid"]: pod for pod in pods}
    if scaler.served is None:
        scaler.served = frozenset(uid for uid, pod in by_uid.items() if created(pod) < since and has_started(pod))
    ready = {uid: pod for uid, pod in by_uid.items() if is_ready(pod)}
    found = []
    for uid, pod in ready.items():
        if uid not in scaler.served and (took := startup_seconds(pod)) is not None and scaler.started(uid, took):
            found.append(took)
    scaler.served = (scaler.served & by_uid.keys()) | ready.keys()
    scaler.news |= bool(found)
    return found


def _watch(world: World, subject: Subject, scaler: Scaler, seen: Observation) -> bool:
    """Learn, and find pods that hang, where the number is another's; whether those changed."""
    bounds = replace(_bounds(world, subject), fixed=subject.replicas)
    made, scaler.state = decide(seen, scaler.state, bounds, _settings(world, subject))
    before, scaler.hung = scaler.hung, made.hung
    return before != scaler.hung


def _show_queue(subject: Subject, scaler: Scaler, seen: Observation) -> bool:
    """Bring the queue in status up to date; whether it changed there."""
    if seen.unsampled or seen.held is None or (seen.ready and not seen.samples):
        return False
    queue = Queue(
        running=sum(each.running for each in seen.samples),
        waiting=sum(each.waiting for each in seen.samples),
        held=seen.held,
        at=datetime.now(UTC).replace(microsecond=0),
    )
    for state in ("running", "waiting", "held"):
        telemetry.REQUESTS.labels(*subject.key, state).set(getattr(queue, state))
    before = scaler.queue
    if before is not None:
        same = (before.running, before.waiting, before.held) == (queue.running, queue.waiting, queue.held)
        if same or seen.at - scaler.shown_at < SHOWN_SECONDS:
            return False
    scaler.queue, scaler.shown_at = queue, seen.at
    # After a restart status may say the same already, and a write without news is none.
    return (
        before is not None
        or "queue" not in (subject.obj.get("status") or {})
        or bool(queue.running or queue.waiting or queue.held)
    )


def _waits(scaler: Scaler, pods: Sequence[Object], *, now: float) -> dict[str, float]:
    """Seconds for which pods have found no node, by name. While one leaves it holds its GPUs."""
    if any(pod["metadata"].get("deletionTimestamp") for pod in pods):
        scaler.leaving_until = now
    since_leaving = None if scaler.leaving_until is None else now - scaler.leaving_until
    return unschedulable.waits(pods, ages=scaler.ages, since_leaving=since_leaving)


async def _decide(
    world: World,
    subject: Subject,
    scaler: Scaler,
    seen: Observation,
    pods: Sequence[Object],
    waited: Mapping[str, float],
) -> bool:
    # The Deployment's controller would take what serves, the oldest version first, instead of what finds no node.
    rolls = rollback.rolls(subject.deployment)
    withdrawn = frozenset() if rolls else await unschedulable.withdrawn(world, pods, waited=waited)
    # Those that were withdrawn before are there until the ReplicaSet has deleted them.
    left = max(sum(not pod["metadata"].get("deletionTimestamp") for pod in pods) - len(withdrawn), 1)
    if withdrawn and left < subject.replicas:
        return await _withdraw(world, subject, scaler, seen, pods, withdrawn, left=left)
    bounds, settings = _bounds(world, subject), _settings(world, subject)
    wish, state = await asyncio.to_thread(decide, seen, scaler.state, bounds, settings)
    made, limit = wish, ""
    if wish.after > subject.replicas:
        async with world.planning:
            space = await _room(world, subject)
            # What runs or is on its way has its GPUs already, even on a node that takes nothing new.
            supply = max(space.total, seen.ready + len(seen.pending))
            if seen.at < scaler.refused[0]:
                supply = min(supply, scaler.refused[1])
            made, state = await asyncio.to_thread(decide, seen, scaler.state, replace(bounds, supply=supply), settings)
            if made.after > subject.replicas:
                world.promises[subject.key] = (replace(subject.pool, replicas=made.after),)
        if made.after < wish.after:
            limit = space.limit if space.total <= made.after else _NO_NODE
    if not limit and made.capped_by == "maxCostPerHour":
        limit = f"maxCostPerHour allows {made.after}"
    scaler.state = state
    if made.kind is Kind.NOT_DUE:
        return False
    wanted = min(int(wish.inputs.get("wanted", wish.after)), bounds.maximum)
    return await _take(world, subject, scaler, made, wish=wanted, limit=limit, pods=pods, samples=seen.samples)


async def _withdraw(
    world: World,
    subject: Subject,
    scaler: Scaler,
    seen: Observation,
    pods: Sequence[Object],
    withdrawn: frozenset[str],
    *,
    left: int,
) -> bool:
    """Take back replicas for which the scheduler found no node, and ask for no more than the rest for a while."""
    scaler.refused = (seen.at + world.config.provisioning_seconds, left)
    made = Decision(
        at=seen.at,
        before=subject.replicas,
        after=left,
        kind=Kind.DOWN,
        reason=f"{subject.replicas} → {left}: {_NO_NODE} for {', '.join(sorted(withdrawn))}",
        capped_by="supply",
    )
    return await _take(
        world, subject, scaler, made, wish=subject.replicas, limit=_NO_NODE, pods=pods, samples=seen.samples
    )


def _bounds(world: World, subject: Subject) -> Bounds:
    scaling, pool = subject.spec.scaling, subject.pool
    paid = affordable(pool=pool, spec=subject.spec)
    return Bounds(
        minimum=scaling.min,
        maximum=scaling.max,
        # A cap below one replica is the planner's to refuse; what runs does not go for it.
        affordable=paid if paid is None or subject.asleep else max(paid, 1),
        longest_start=float(startup_budget_seconds(pool=pool, config=world.config)),
        idle_before_zero=float(seconds(scaling.idle_before0)),
        max_num_seqs=pool.max_num_seqs,
        chunk=pool.max_num_batched_tokens,
    )


def _settings(world: World, subject: Subject) -> Settings:
    return Settings(preference=subject.spec.scaling.preference, memory=float(world.config.scaling_memory_seconds))


async def _room(world: World, subject: Subject) -> Room:
    stock = await inventory(world)
    namespace, name = subject.key
    return await asyncio.to_thread(
        room, pool=subject.pool, spec=subject.spec, namespace=namespace, name=name, inventory=stock
    )


async def _take(
    world: World,
    subject: Subject,
    scaler: Scaler,
    made: Decision,
    *,
    wish: int,
    limit: str,
    pods: Sequence[Object],
    samples: Sequence[PodSample],
) -> bool:
    """Make a decision the target; whether it differs from what runs or what status says."""
    changed = False
    shown = (scaler.looked, scaler.limit, scaler.wished, scaler.blind, scaler.asleep_without_room)
    scaler.looked, scaler.limit, scaler.wished = True, limit, wish
    scaler.blind = made.reason if made.kind is Kind.NO_DATA else ""
    if made.hung != scaler.hung:
        scaler.hung, changed = made.hung, True
    scaler.asleep_without_room = subject.asleep and wish > 0 and made.after == 0
    told, scaler.target = scaler.target, max(made.after, 1) if scaler.asleep_without_room else made.after
    changed |= shown != (scaler.looked, scaler.limit, scaler.wished, scaler.blind, scaler.asleep_without_room)
    if made.after == subject.replicas:
        return changed
    if made.after == told:
        return True  # decided before, and not carried out yet
    telemetry.SCALINGS.labels(direction="up" if made.after > subject.replicas else "down").inc()
    scaler.decisions.appendleft((datetime.now(UTC).replace(microsecond=0), made))
    logger(subject.obj).info("%s", made.reason)
    world.events.post(subject.obj, reason=SCALED, message=made.reason, type_="Normal")
    if made.after < subject.replicas:
        await _prefer(world, subject, pods, samples, leaving=subject.replicas - made.after)
    return True


async def _prefer(
    world: World, subject: Subject, pods: Sequence[Object], samples: Sequence[PodSample], *, leaving: int
) -> None:
    """Have those go first whose going costs least. Only a preference: the drain is what keeps requests safe."""
    alive = {pod["metadata"]["name"]: pod for pod in pods if not pod["metadata"].get("deletionTimestamp")}
    in_flight = {each.pod: each.running + each.waiting for each in samples}
    candidates = {
        name: Candidate(
            pod=name,
            loading=not is_ready(pod),
            age=(datetime.now(UTC) - created(pod)).total_seconds(),
            in_flight=in_flight.get(name, _UNKNOWN),
        )
        for name, pod in alive.items()
    }
    chosen = set()
    for _ in range(min(leaving, len(candidates))):
        first = victim(tuple(candidates.values()))
        if first is None:
            break
        chosen.add(first)
        del candidates[first]
    for name, pod in alive.items():
        cost = "-1" if name in chosen else "0"
        if (pod["metadata"].get("annotations") or {}).get(names.DELETION_COST_ANNOTATION, "0") != cost:
            body = {"metadata": {"annotations": {names.DELETION_COST_ANNOTATION: cost}}}
            await world.client.patch(PODS, name=name, namespace=subject.key[0], body=body)
