"""One reconcile of one router: everything that its GemmaDeployments share, written by one worker."""

import secrets
from collections.abc import Sequence

from gemma_operator.api import names
from gemma_operator.api.errors import Terminal
from gemma_operator.api.spec import GemmaDeploymentSpec, hold_seconds
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    GEMMA_DEPLOYMENTS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Object,
    resource_of,
)
from gemma_operator.cluster.store import Key, key_of
from gemma_operator.reconcile import aliases, apply
from gemma_operator.reconcile.deployment import Outcome, identity
from gemma_operator.reconcile.diagnosis import Diagnosis, container_status
from gemma_operator.reconcile.kept import kept_plan
from gemma_operator.reconcile.limits import smallest_limit
from gemma_operator.reconcile.replicas import measured_start, switched_off
from gemma_operator.reconcile.specs import is_paused, parse_spec
from gemma_operator.reconcile.world import World, is_ours
from gemma_operator.render.exposure import ANCHORS, anchor_name, exposures, render_exposure
from gemma_operator.render.router import render_router, router_secrets
from gemma_operator.render.types import Route, RouterKeys

CONFLICT_RETRY_SECONDS = 10.0


async def reconcile_router(world: World, key: Key) -> Outcome:
    """Bring a router to the GemmaDeployments that use it.

    A router without users is removed. Its objects are owned by each of its users, so that the garbage collector does it
    where no operator works; but a user can move to another router, and users that go at once can leave an object
    without owner: the collector strips those it found gone while an apply strips the one that it found alive.
    """
    namespace, name = key
    served = aliases.users(world.stores[GEMMA_DEPLOYMENTS], namespace=namespace, router=name)
    if not served:
        world.router_problems.pop(key, None)
        await _remove_unused(world, key)
        return Outcome()
    if all(is_paused(obj) for obj, _ in served):
        return Outcome()
    owners = [identity(obj) for obj, _ in served]
    manifests = render_router(
        namespace=namespace,
        router=name,
        owners=owners,
        routes=routes(world, served),
        config=world.config,
        operator_namespace=world.operator_namespace,
        code=world.router_code,
    )
    existing = world.owned(namespace=namespace, label=names.ROUTER_LABEL, value=name)
    past = {
        r["uid"] for obj in existing for r in obj["metadata"].get("ownerReferences") or () if r["kind"] == names.KIND
    }
    uids = frozenset({owner.uid for owner in owners} | past)
    try:
        first = [manifest for manifest in manifests if manifest["kind"] != "Deployment"]
        await apply.ensure_all(world, first, owners=uids)
        if world.stores[DEPLOYMENTS].get(key) is None or _misses_secret(world, key):
            await _create_secrets(world, key)
        await apply.ensure_all(world, manifests, owners=uids)
        await _expose(world, key, owners=uids)
        world.router_problems.pop(key, None)
    except Terminal as problem:
        world.router_problems[key] = Diagnosis(reason=problem.reason, message=problem.message)
        return Outcome(requeue_after=CONFLICT_RETRY_SECONDS)
    return Outcome()


async def _remove_unused(world: World, key: Key) -> None:
    """Delete what the operator made for a router that no GemmaDeployment names; each object is read live first.

    Which router a GemmaDeployment with an invalid spec names is unknown: what it owns stays, and what nobody owns.
    """
    namespace, name = key
    users = world.stores[GEMMA_DEPLOYMENTS].by(namespace)
    unclear = {obj["metadata"]["uid"] for obj in users if parse_spec(obj)[0] is None}
    for obj in world.owned(namespace=namespace, label=names.ROUTER_LABEL, value=name):
        if names.DEPLOYMENT_LABEL in obj["metadata"]["labels"]:
            continue  # an engine's Service, which names the router that follows it
        resource, object_name = resource_of(obj), obj["metadata"]["name"]
        live = await world.client.get(resource, name=object_name, namespace=namespace)
        if live is None or not _made_here(live):
            continue
        owners = {reference["uid"] for reference in live["metadata"].get("ownerReferences") or ()}
        if unclear and (not owners or owners & unclear):
            continue
        logger(obj).info("deleting: no GemmaDeployment names router %s", name)
        await world.client.delete(resource, name=object_name, namespace=namespace, uid=live["metadata"]["uid"])
        world.stores[resource].remove(live)


def _made_here(live: Object) -> bool:
    """Whether the operator applied an object that nobody but GemmaDeployments owns: labels are easily copied."""
    metadata = live["metadata"]
    applied = any(
        (field["manager"], field["operation"]) == (names.MANAGER, "Apply")
        for field in metadata.get("managedFields") or ()
    )
    return applied and all(owner["kind"] == names.KIND for owner in metadata.get("ownerReferences") or ())


async def _expose(world: World, key: Key, *, owners: frozenset[str]) -> None:
    """Bring Ingress and HTTPRoute to what is configured; one that is not any more goes with its anchor."""
    namespace, name = key
    wanted = exposures(config=world.config, namespace=namespace, router=name)
    for kind in ANCHORS:
        anchor = world.stores[CONFIG_MAPS].get((namespace, anchor_name(name, kind)))
        if anchor is None or anchor["metadata"]["name"] in [each.anchor for each in wanted]:
            continue
        if any(is_ours(anchor, uid=owner) for owner in owners):
            logger(anchor).info("deleting: the router is no longer exposed by it")
            metadata = anchor["metadata"]
            await world.client.delete(CONFIG_MAPS, name=metadata["name"], namespace=namespace, uid=metadata["uid"])
            world.stores[CONFIG_MAPS].remove(anchor)
    for each in wanted:
        anchor = world.stores[CONFIG_MAPS].get((namespace, each.anchor))
        if anchor is None:
            continue  # somebody deleted it a moment ago; its event brings this router back here
        uid = anchor["metadata"]["uid"]
        manifest = render_exposure(each, namespace=namespace, router=name, anchor_uid=uid)
        await apply.ensure_all(world, [manifest], owners=frozenset({uid}))


def routes(world: World, served: Sequence[tuple[Object, GemmaDeploymentSpec]]) -> list[Route]:
    """What the router must know of each GemmaDeployment that has a plan, by name."""
    owners = aliases.model_names(list(served))
    found = []
    for obj, spec in served:
        namespace, name = key_of(obj)
        deployments = world.stores[DEPLOYMENTS].by((namespace, names.DEPLOYMENT_LABEL, name))
        kept = next((plan for deployment in deployments if (plan := kept_plan(deployment))), None)
        if kept is None:
            continue
        startup, off = measured_start(obj), switched_off(spec)
        found.append(
            Route(
                name=name,
                aliases=tuple(alias for alias in spec.router.aliases if owners[alias] == name and alias != name),
                max_num_seqs=smallest_limit(
                    world.pods(namespace=namespace, label=names.DEPLOYMENT_LABEL, value=name),
                    planned=kept.pool.max_num_seqs,
                ),
                context_tokens=kept.pool.max_model_len,
                fallbacks=tuple(spec.router.fallbacks),
                hold_seconds=0 if off else hold_seconds(spec.scaling, startup=startup),
                startup_seconds=startup,
                switched_off=off,
            )
        )
    return sorted(found, key=lambda route: route.name)


async def _create_secrets(world: World, key: Key) -> None:
    """Create the router's Secrets unless they exist; they are never read, so existing keys survive.

    Their owner is the router's ServiceAccount, which garbage collection removes with the router's last user: a Secret
    owned by the users themselves would die with the first ones, since only they are known when it is created.
    """
    namespace, name = key
    account = world.stores[SERVICE_ACCOUNTS].get(key)
    owner = (
        {"apiVersion": "v1", "kind": "ServiceAccount", "name": name, "uid": account["metadata"]["uid"]}
        if account
        else None
    )
    keys = RouterKeys(
        master="sk-" + secrets.token_urlsafe(36),
        engine=secrets.token_urlsafe(36),
        client="sk-" + secrets.token_urlsafe(36),
    )
    for secret in router_secrets(namespace=namespace, router=name, owners=[], config=world.config, keys=keys):
        if owner is not None:
            secret["metadata"]["ownerReferences"] = [owner]
        await world.client.create(SECRETS, secret)


def _misses_secret(world: World, key: Key) -> bool:
    namespace, name = key
    return any(
        "secret" in (status.get("state", {}).get("waiting") or {}).get("message", "").lower()
        for pod in world.pods(namespace=namespace, label=names.ROUTER_LABEL, value=name)
        for status in [container_status(pod, container=names.ROUTER_CONTAINER)]
    )
