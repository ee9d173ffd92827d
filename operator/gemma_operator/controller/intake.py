"""Events → caches → keys: which GemmaDeployments and routers an event concerns."""

import time
from typing import Any

from gemma_operator.api import names
from gemma_operator.cluster import telemetry
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, NODES, PODS, QUOTAS, Object, Resource
from gemma_operator.cluster.store import Key, key_of
from gemma_operator.controller.queue import WorkQueue
from gemma_operator.reconcile.kept import kept_plan
from gemma_operator.reconcile.limits import own_limit
from gemma_operator.reconcile.specs import parse_spec
from gemma_operator.reconcile.world import World

CAPACITY_DELAY_SECONDS = 0.5
"""Events that change capacity come in bursts; planning waits for the end of one."""


ROUTER_DELAY_SECONDS = 1.0
"""GemmaDeployments come in bursts too, and each changes the same routes."""


class Intake:
    """Takes every event of the watches, and every object that a comparison with a list found stale."""

    def __init__(self, world: World, *, deployments: WorkQueue[Key], routers: WorkQueue[Key]) -> None:
        self._world = world
        self._deployments = deployments
        self._routers = routers
        self.queues = False
        """Whether keys are queued: not while another operator works, since nobody would take them out."""

    def take(self, resource: Resource, obj: Object, gone: bool) -> None:
        """Put an event into its cache and the keys it concerns into the queues."""
        telemetry.WATCH_EVENTS.labels(kind=resource.kind).inc()
        telemetry.LAST_EVENT.labels(kind=resource.kind).set(time.time())
        store = self._world.stores[resource]
        if gone:
            before, after = store.remove(obj), None
            changed = before is not None
        else:
            changed, before = store.upsert(obj)
            after = store.get(key_of(obj))
        if changed:
            self.announce(resource, before=before, after=after)

    def announce(self, resource: Resource, *, before: Object | None, after: Object | None) -> None:
        """Queue what a changed object concerns."""
        known = after or before
        if known is None or not self.queues:
            return
        if resource is GEMMA_DEPLOYMENTS:
            self._gemma_deployment(before=before, after=after)
            return
        if resource in (NODES, QUOTAS):
            if _without_version(before) != _without_version(after):
                self._capacity()
            return
        self._owner(known)
        if resource is PODS:
            self._limits(known)
            if _frees_or_takes(before, after):
                self._capacity()

    def _gemma_deployment(self, *, before: Object | None, after: Object | None) -> None:
        known = after or before
        assert known is not None
        if before is not None and after is not None and _same_intent(before, after):
            return
        self._deployments.add(key_of(known))
        for obj in (before, after):
            spec = parse_spec(obj)[0] if obj else None
            if spec is not None:
                self._routers.add_after((key_of(known)[0], spec.router.name), ROUTER_DELAY_SECONDS)
        for other in self._sharing_names(known):
            self._deployments.add(other)

    def _sharing_names(self, obj: Object) -> list[Key]:
        """Others of the namespace whose aliases may be free, or taken, now."""
        namespace = key_of(obj)[0]
        return [
            key_of(other)
            for other in self._world.stores[GEMMA_DEPLOYMENTS].by(namespace)
            if (spec := parse_spec(other)[0]) is not None and spec.router.aliases and key_of(other) != key_of(obj)
        ]

    def _owner(self, obj: Object) -> None:
        namespace = key_of(obj)[0]
        if namespace not in (self._world.config.namespaces or [namespace]):
            return  # a pod that takes a GPU elsewhere; it may be another operator's
        labels = obj["metadata"].get("labels") or {}
        deployment, router = labels.get(names.DEPLOYMENT_LABEL), labels.get(names.ROUTER_LABEL)
        if deployment:
            self._deployments.add((namespace, deployment))
        elif router:
            self._routers.add((namespace, router))
            for other in self._world.stores[GEMMA_DEPLOYMENTS].by(namespace):
                spec = parse_spec(other)[0]
                if spec is not None and spec.router.enabled and spec.router.name == router:
                    self._deployments.add(key_of(other))

    def _limits(self, pod: Object) -> None:
        """Queue the router of an engine with another limit than the plan's: it bounds the route until it goes.

        In ordinary scaling all have the plan's, and no route changes.
        """
        name, limit = (pod["metadata"].get("labels") or {}).get(names.DEPLOYMENT_LABEL), own_limit(pod)
        if name is None or limit is None:
            return
        namespace = key_of(pod)[0]
        obj = self._world.stores[GEMMA_DEPLOYMENTS].get((namespace, name))
        spec = parse_spec(obj)[0] if obj else None
        deployment = self._world.stores[DEPLOYMENTS].get((namespace, names.pool_deployment(deployment=name, pool=0)))
        kept = kept_plan(deployment) if deployment else None
        if spec is None or not spec.router.enabled or kept is None or limit == kept.pool.max_num_seqs:
            return
        self._routers.add_after((namespace, spec.router.name), ROUTER_DELAY_SECONDS)

    def _capacity(self) -> None:
        for key in self._world.blocked:
            self._world.planned.pop(key, None)
            self._deployments.add_after(key, CAPACITY_DELAY_SECONDS)


def _same_intent(before: Object, after: Object) -> bool:
    """Whether only status or bookkeeping changed, which the operator does itself."""

    def intent(obj: Object) -> tuple[Any, ...]:
        metadata = obj["metadata"]
        return (
            metadata.get("uid"),
            metadata.get("generation"),
            metadata.get("deletionTimestamp"),
            metadata.get("annotations"),
        )

    return intent(before) == intent(after)


def _frees_or_takes(before: Object | None, after: Object | None) -> bool:
    """Whether a pod began or ceased to hold a node's resources."""

    def holding(pod: Object | None) -> tuple[Any, ...]:
        if pod is None or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return (None,)
        return (pod["metadata"]["uid"], pod.get("spec", {}).get("nodeName"))

    return holding(before) != holding(after)


def _without_version(obj: Object | None) -> Object | None:
    if obj is None:
        return None
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}
