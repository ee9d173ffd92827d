"""One reconcile of one GemmaDeployment: observe → plan → render → apply → status."""

from dataclasses import dataclass

from gemma_operator.api import names
from gemma_operator.api.conditions import MESSAGES, Reason
from gemma_operator.api.errors import OperatorError, Terminal
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cluster import telemetry
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, Object
from gemma_operator.cluster.store import Key, key_of
from gemma_operator.reconcile import aliases, apply, failures, rollback, status
from gemma_operator.reconcile.kept import kept_plan, manifest_that_stays, spec_inputs, upgrade_due, with_plan
from gemma_operator.reconcile.observed import Decision, Observed
from gemma_operator.reconcile.outdated import outdated
from gemma_operator.reconcile.planning import decide
from gemma_operator.reconcile.pods import is_ready
from gemma_operator.reconcile.replicas import decided_by_operator, measured_start, wanted_replicas
from gemma_operator.reconcile.report import report
from gemma_operator.reconcile.specs import asked_upgrade, is_paused, parse_spec
from gemma_operator.reconcile.world import World, is_ours
from gemma_operator.render.engine import render_engine
from gemma_operator.render.exposure import external_url
from gemma_operator.render.types import DeploymentIdentity, Strategy

BLOCKED_RETRY_SECONDS = 10.0
"""Quotas and objects of others are not watched: what they block is looked at again this often."""
STARTING_RETRY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reconcile wants next: to run again after so many seconds, or only when something changes."""

    requeue_after: float | None = None


async def reconcile_deployment(world: World, key: Key) -> Outcome:
    """Bring everything that a GemmaDeployment needs to its spec, and its status to what runs."""
    namespace, name = key
    obj = world.stores[GEMMA_DEPLOYMENTS].get(key)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        world.promises.pop(key, None)
        world.planned.pop(key, None)
        world.rendered.pop(key, None)
        world.manifests.pop(key, None)
        world.scalers.pop(key, None)
        telemetry.forget_requests(*key)
        world.blocked.discard(key)
        return Outcome()
    spec, invalid = parse_spec(obj)
    owned = world.owned(namespace=namespace, label=names.DEPLOYMENT_LABEL, value=name)
    running = next((o for o in owned if o["kind"] == "Deployment" and is_ours(o, uid=obj["metadata"]["uid"])), None)
    observed = Observed(obj=obj, spec=spec, deployment=running, kept=kept_plan(running) if running else None)
    if spec is None:
        observed.problem = Terminal(Reason.INVALID_SPEC, invalid)
    elif is_paused(obj):
        observed.paused = True
    else:
        try:
            await _converge(world, observed, owned)
        except OperatorError:
            raise
        except Exception as error:
            message = MESSAGES[Reason.INTERNAL_ERROR].format(error=type(error).__name__)
            observed.problem = Terminal(Reason.INTERNAL_ERROR, message)
            await _look(world, observed)
            await report(world, observed)
            raise
    await _look(world, observed)
    known = measured_start(obj)
    await report(world, observed)
    now = world.stores[GEMMA_DEPLOYMENTS].get(key)
    if spec is not None and spec.router.enabled and now is not None and measured_start(now) != known:
        world.rerouted.add((namespace, spec.router.name))
    return Outcome(requeue_after=_next_look(observed))


def _next_look(observed: Observed) -> float | None:
    if observed.decision is not None and not observed.decision.pools:
        return BLOCKED_RETRY_SECONDS
    if observed.problem is not None:
        return None if observed.problem.reason == Reason.INVALID_SPEC else BLOCKED_RETRY_SECONDS
    return None if observed.paused or status.is_settled(observed) else STARTING_RETRY_SECONDS


async def _converge(world: World, observed: Observed, owned: list[Object]) -> None:
    obj, spec = observed.obj, observed.spec
    assert spec is not None
    key = key_of(obj)
    uid = obj["metadata"]["uid"]
    last_good = await _taken_back(world, observed)
    if last_good is not None and (kept := kept_plan(last_good)) is not None:
        decision = Decision(plan=kept, pools=(kept.pool,), spare=False)
    else:
        decision = await decide(world, obj, spec=spec, deployment=observed.deployment)
    observed.decision = decision
    if not decision.pools:
        if observed.deployment is not None:
            world.promises.pop(key, None)
        return
    manifests = _manifests(world, observed, decision, last_good=last_good)
    try:
        await apply.ensure_all(world, manifests, owners=frozenset({uid}))
        await apply.prune(world, owned, wanted=manifests, uid=uid)
        deployment = world.stores[DEPLOYMENTS].get((key[0], names.pool_deployment(deployment=key[1], pool=0)))
        if deployment is not None:
            kept = kept_plan(deployment)
            if spec.router.enabled and (kept is None or observed.kept is None or kept.pool != observed.kept.pool):
                world.rerouted.add((key[0], spec.router.name))
            scaler = world.scalers.get(key)
            if scaler is not None and not decided_by_operator(spec):
                # Once the number is the operator's again, it starts from what runs, and not from what it last decided.
                scaler.target = None
            wanted = wanted_replicas(spec, scaler=scaler, deployment=observed.deployment)
            scaled = await apply.scale(world, deployment, replicas=wanted)
            if scaler is not None and scaled is not None:
                scaler.generation = scaled
            observed.deployment = world.stores[DEPLOYMENTS].get((key[0], deployment["metadata"]["name"]))
            observed.kept = kept
        world.promises.pop(key, None)
    except Terminal as problem:
        world.promises.pop(key, None)
        observed.problem = problem


async def _taken_back(world: World, observed: Observed) -> Object | None:
    """The Deployment as it last ran, where the spec's version does not become ready; `None`: try that."""
    spec, live = observed.spec, observed.deployment
    assert spec is not None
    if live is None:
        return None
    inputs = spec_inputs(spec, upgrade=asked_upgrade(observed.obj))
    if (back := rollback.rolled_back(live)) is not None:
        observed.rolled_back = back if back.inputs == inputs else None
        return rollback.present(live) if observed.rolled_back else None
    if rollback.kept_good(live) is None or rollback.has_run(live):
        return None
    pods = world.pods(namespace=key_of(live)[0], label=names.DEPLOYMENT_LABEL, value=key_of(observed.obj)[1])
    # What ails the version before says nothing of this one.
    pods = rollback.newest((pod for pod in pods if not pod["metadata"].get("deletionTimestamp")), live)
    diagnosis = await failures.examine(world, deployment=live, pods=pods, container=names.ENGINE_CONTAINER)
    scaler = world.scalers.get(key_of(observed.obj))
    loading = max((scaler.loading(pod) for pod in pods if not is_ready(pod)), default=0.0) if scaler else 0.0
    why = rollback.hopeless(live, diagnosis=diagnosis, loading=loading)
    good = rollback.good_manifest(live, inputs=inputs, why=why) if why else None
    if good is not None:
        logger(observed.obj).warning("taking the last change back: %s", why)
        observed.rolled_back = rollback.rolled_back(good)
    return good


def _manifests(world: World, observed: Observed, decision: Decision, *, last_good: Object | None) -> list[Object]:
    """What should exist: fresh renderings, with the kept manifest where a pool's inputs did not change."""
    obj, spec, live = observed.obj, observed.spec, observed.deployment
    assert spec is not None
    metadata = obj["metadata"]
    kept = ((live or {}).get("metadata", {}).get("annotations") or {}).get(names.APPLIED_ANNOTATION)
    good, ran = rollback.good_annotation(live), live is not None and rollback.has_run(live)
    asked = asked_upgrade(obj)
    basis = (metadata["uid"], metadata.get("generation"), asked, decision, kept, good, ran, last_good)
    if (known := world.manifests.get(key_of(obj))) is not None and known[0] == basis:
        _, manifests, observed.outdated = known
        return manifests
    due = observed.kept if upgrade_due(obj, observed.kept) else None
    upgrade = asked or (observed.kept.upgrade if observed.kept else None)
    manifests = []
    for manifest in _rendered(world, observed, decision):
        if manifest["kind"] == "Deployment":
            pool = decision.pools[int(manifest["metadata"]["labels"][names.POOL_LABEL])]
            before = (
                manifest_that_stays(live, rendered=manifest, spec=spec, pool=pool, due=due)
                if live is not None and key_of(live) == key_of(manifest)
                else None
            )
            if last_good is not None:
                manifest = last_good
            elif before is not None:
                observed.outdated = outdated(
                    before, manifest, spec=spec, pool=pool, catalog=world.catalog, config=world.config
                )
                before_that = rollback.kept_good(live)
                manifest = with_plan(
                    before, spec=spec, pool=pool, plan=decision.plan, good=before_that, upgrade=upgrade, ran=ran
                )
            else:
                manifest = with_plan(manifest, spec=spec, pool=pool, plan=decision.plan, good=good, upgrade=upgrade)
        manifests.append(manifest)
    world.manifests[key_of(obj)] = (basis, manifests, observed.outdated)
    return manifests


def _rendered(world: World, observed: Observed, decision: Decision) -> list[Object]:
    """Fresh renderings; the same ones again while neither spec nor plan changes, since they cost most."""
    obj, spec = observed.obj, observed.spec
    assert spec is not None
    strategy = _strategy(spec, spare=decision.spare)
    basis = (obj["metadata"]["uid"], obj["metadata"].get("generation"), decision.pools, strategy)
    if (known := world.rendered.get(key_of(obj))) is not None and known[0] == basis:
        return known[1]
    made = render_engine(
        deployment=identity(obj),
        spec=spec,
        pools=decision.pools,
        config=world.config,
        strategy=strategy,
        operator_namespace=world.operator_namespace,
        measured_start=measured_start(obj),
    )
    world.rendered[key_of(obj)] = (basis, made)
    return made


def _strategy(spec: GemmaDeploymentSpec, *, spare: bool) -> Strategy:
    if spec.rollout == "auto":
        return "surge" if spare else "inPlace"
    return spec.rollout


def identity(obj: Object) -> DeploymentIdentity:
    """What owned objects must know of their GemmaDeployment."""
    metadata = obj["metadata"]
    return DeploymentIdentity(name=metadata["name"], namespace=metadata["namespace"], uid=metadata["uid"])


async def _look(world: World, observed: Observed) -> None:
    """What runs: pods and what ails them, the router, names that others hold."""
    obj, spec = observed.obj, observed.spec
    namespace, name = key_of(obj)
    observed.scaler = world.scalers.get((namespace, name))
    if spec is not None:
        observed.wanted = wanted_replicas(spec, scaler=observed.scaler, deployment=observed.deployment)
    observed.pods = world.pods(namespace=namespace, label=names.DEPLOYMENT_LABEL, value=name)
    observed.diagnosis = await failures.examine(
        world, deployment=observed.deployment, pods=observed.pods, container=names.ENGINE_CONTAINER
    )
    if spec is None or not spec.router.enabled:
        return
    observed.taken = aliases.taken(world.stores[GEMMA_DEPLOYMENTS], obj, spec)
    router = (namespace, spec.router.name)
    observed.router = world.stores[DEPLOYMENTS].get(router)
    observed.external_url = external_url(config=world.config, namespace=namespace, router=spec.router.name)
    problem = world.router_problems.get(router)
    observed.router_problem = problem or await failures.examine(
        world,
        deployment=observed.router,
        pods=world.pods(namespace=namespace, label=names.ROUTER_LABEL, value=spec.router.name),
        container=names.ROUTER_CONTAINER,
    )
