"""Bring owned objects to what was rendered: only what changed, never onto what is not ours."""

import asyncio
from collections.abc import Iterable, Sequence

from gemma_operator.api import names
from gemma_operator.api.conditions import MESSAGES, Reason
from gemma_operator.api.errors import ApiError, Terminal
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.resources import CLAIMS, DEPLOYMENTS, ROLE_BINDINGS, Object, Resource, resource_of
from gemma_operator.cluster.store import key_of
from gemma_operator.reconcile.world import World, is_ours
from gemma_operator.render.drift import first_drift

_REFUSED = (400, 403, 422)
"""Answers that stay the same until a person changes something: schema, admission, permissions."""


async def ensure_all(world: World, manifests: Sequence[Object], *, owners: frozenset[str]) -> None:
    """Apply manifests whose live object differs; Deployments last, since their pods need the rest.

    `owners` are the uids any of which makes an existing object ours. Raises `Terminal(NameConflict)` before anything
    is written when an object of one of the names belongs to somebody else.
    """
    lives = await asyncio.gather(*(_live(world, manifest) for manifest in manifests))
    for manifest, live in zip(manifests, lives, strict=True):
        if live is not None and not _may_write(live, manifest=manifest, owners=owners):
            raise Terminal(
                Reason.NAME_CONFLICT,
                MESSAGES[Reason.NAME_CONFLICT].format(kind=manifest["kind"], name=manifest["metadata"]["name"]),
            )
    pairs = list(zip(manifests, lives, strict=True))
    first = [pair for pair in pairs if pair[0]["kind"] != "Deployment"]
    await asyncio.gather(*(_ensure(world, manifest, live) for manifest, live in first))
    for manifest, live in pairs:
        if manifest["kind"] == "Deployment":
            await _ensure(world, manifest, live)


async def prune(world: World, existing: Iterable[Object], *, wanted: Sequence[Object], uid: str) -> None:
    """Delete objects of ours that are no longer wanted; each is read live first."""
    keep = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
    for obj in existing:
        if (obj["kind"], obj["metadata"]["name"]) in keep or not is_ours(obj, uid=uid):
            continue
        resource = resource_of(obj)
        namespace, name = key_of(obj)
        live = await world.client.get(resource, name=name, namespace=namespace)
        if live is None or not is_ours(live, uid=uid):
            continue
        logger(obj).info("deleting: no longer part of what its owner needs")
        await world.client.delete(resource, name=name, namespace=namespace, uid=live["metadata"]["uid"])
        world.stores[resource].remove(live)


async def scale(world: World, deployment: Object, *, replicas: int) -> int | None:
    """Set the replicas of a Deployment as the scaler, if they differ: the generation that this made."""
    if deployment.get("spec", {}).get("replicas") == replicas:
        return None
    namespace, name = key_of(deployment)
    body: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": deployment["metadata"]["uid"],
            "resourceVersion": deployment["metadata"]["resourceVersion"],
        },
        "spec": {"replicas": replicas},
    }
    live = await world.client.apply(DEPLOYMENTS, body, manager=names.SCALER)
    logger(deployment).info("replicas %s → %s", deployment.get("spec", {}).get("replicas"), replicas)
    world.stores[DEPLOYMENTS].upsert(live)
    return int(live["metadata"].get("generation", 0))


def _refusal(manifest: Object, error: ApiError) -> Terminal:
    message = MESSAGES[Reason.OBJECT_REFUSED].format(
        kind=manifest["kind"], name=manifest["metadata"]["name"], error=error.detail
    )
    return Terminal(Reason.OBJECT_REFUSED, message)


async def _live(world: World, manifest: Object) -> Object | None:
    resource = resource_of(manifest)
    cached = world.stores[resource].get(key_of(manifest))
    if cached is not None:
        return cached
    # The cache holds only objects with our label, so only the API server knows whether the name is free. Its cache
    # will do: whatever is created at the same moment would be missed by a read of any kind.
    namespace, name = key_of(manifest)
    return await world.client.get(resource, name=name, namespace=namespace, cached=True)


def _may_write(live: Object, *, manifest: Object, owners: frozenset[str]) -> bool:
    if any(reference.get("uid") in owners for reference in live["metadata"].get("ownerReferences") or ()):
        return True
    labels, wanted = live["metadata"].get("labels") or {}, manifest["metadata"].get("labels") or {}
    # A claim that outlived its GemmaDeployment on purpose has no owner and is recognised by its labels.
    return manifest["kind"] == CLAIMS.kind and all(
        labels.get(label) == wanted.get(label) for label in (names.MANAGED_BY_LABEL, names.DEPLOYMENT_LABEL)
    )


async def _ensure(world: World, manifest: Object, live: Object | None) -> None:
    resource = resource_of(manifest)
    if live is not None:
        drift = first_drift(applied=manifest, live=live)
        if drift is None:
            return
        logger(manifest).info("applying: %s differs", drift)
    else:
        logger(manifest).info("creating")
    world.stores[resource].upsert(await _apply(world, resource, manifest, live))


async def _apply(world: World, resource: Resource, manifest: Object, live: Object | None) -> Object:
    try:
        return await world.client.apply(resource, manifest)
    except ApiError as error:
        # The role that a binding names cannot be changed, only bound anew.
        if error.status != 422 or resource is not ROLE_BINDINGS or live is None:
            if error.status in _REFUSED and error.reason != "NamespaceTerminating":
                raise _refusal(manifest, error) from error
            raise
        namespace, name = key_of(manifest)
        await world.client.delete(resource, name=name, namespace=namespace, uid=live["metadata"]["uid"])
        return await world.client.apply(resource, manifest)
