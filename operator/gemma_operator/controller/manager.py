"""One operator process: caches, watches, queues, workers, and the checks that it is alive."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

import kopf

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.errors import ApiError, ConfigurationError, Transient
from gemma_operator.api.status import Phase
from gemma_operator.catalog.types import Catalog
from gemma_operator.cluster import telemetry
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.resources import (
    GEMMA_DEPLOYMENTS,
    HTTP_ROUTES,
    INGRESSES,
    NODES,
    OWNED,
    PODS,
    QUOTAS,
    Object,
    Resource,
)
from gemma_operator.cluster.store import Key, Store, key_of
from gemma_operator.controller import scaling, watches
from gemma_operator.controller.intake import ROUTER_DELAY_SECONDS, Intake
from gemma_operator.controller.leadership import Leadership
from gemma_operator.controller.queue import WorkQueue
from gemma_operator.controller.workers import work
from gemma_operator.inventory.trim import trim_node, trim_pod, trim_quota
from gemma_operator.reconcile.deployment import Outcome, reconcile_deployment
from gemma_operator.reconcile.events import EventRecorder
from gemma_operator.reconcile.planning import PLANNED_FROM
from gemma_operator.reconcile.router import reconcile_router
from gemma_operator.reconcile.world import World, label_index

WAITING_RELIST_SECONDS = 30.0
"""How often caches are compared with a list while somebody waits for GPUs."""
STUCK_LOOP_SECONDS = 10.0
STUCK_WORKER_SECONDS = 300.0
_BEAT_SECONDS = 1.0
_OURS = f"{names.MANAGED_BY_LABEL}={names.MANAGER}"


def trim(obj: Object) -> Object:
    """An object without the bookkeeping of its writers, which can be larger than the rest."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def trim_any_pod(pod: Object) -> Object:
    """What planning needs of every pod, and what diagnosis and routes need besides of our own."""
    small = trim_pod(pod)
    if (pod["metadata"].get("labels") or {}).get(names.MANAGED_BY_LABEL) != names.MANAGER:
        return small
    metadata = {
        key: pod["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "labels", "creationTimestamp", "deletionTimestamp")
        if key in pod["metadata"]
    }
    cost = (pod["metadata"].get("annotations") or {}).get(names.DELETION_COST_ANNOTATION)
    if cost is not None:
        metadata["annotations"] = {names.DELETION_COST_ANNOTATION: cost}
    containers = map(_with_command, pod["spec"].get("containers", ()), small["spec"].get("containers", ()))
    spec = {**small["spec"], "containers": list(containers)}
    return {**small, "metadata": {**small["metadata"], **metadata}, "spec": spec, "status": pod.get("status", {})}


def _with_command(container: Object, small: Object) -> Object:
    """Image and arguments tell versions apart, and how many requests an engine of any age runs at once."""
    if container.get("name") != names.ENGINE_CONTAINER:
        return small
    return {**small, **{key: container[key] for key in ("image", "args") if key in container}}


def owned(config: OperatorConfig) -> list[Resource]:
    """Kinds that the operator applies: an API server need not know HTTPRoutes, nor an operator have rights on both."""
    exposing = {INGRESSES: config.router.ingress, HTTP_ROUTES: config.router.http_route}
    return [*OWNED, *(resource for resource, settings in exposing.items() if settings is not None)]


def make_stores(config: OperatorConfig) -> dict[Resource, Store]:
    """The caches of everything that is planned from or owned."""
    watched = config.namespaces
    stores = [
        Store(GEMMA_DEPLOYMENTS, trim=trim, index=lambda obj: [obj["metadata"]["namespace"]], namespaces=watched),
        Store(NODES, trim=trim_node),
        # GPUs are taken by pods of any namespace.
        Store(PODS, trim=trim_any_pod, index=label_index, namespaces=() if config.reads_nodes else watched),
        Store(QUOTAS, trim=trim_quota, namespaces=watched),
        *(
            Store(resource, trim=trim, selector=_OURS, index=label_index, namespaces=watched)
            for resource in owned(config)
        ),
    ]
    return {store.resource: store for store in stores}


def by_scope(stores: Iterable[Store]) -> dict[tuple[str, ...], list[Store]]:
    """Namespaces that are watched together (none: the whole cluster) → their caches."""
    found: dict[tuple[str, ...], list[Store]] = {}
    for store in stores:
        found.setdefault(store.namespaces, []).append(store)
    return found


class Manager:
    """Runs the operator until it is cancelled or a watch dies."""

    def __init__(
        self,
        *,
        client: Client,
        config: OperatorConfig,
        catalog: Catalog,
        namespace: str,
        code: dict[str, str],
        leadership: Leadership | None = None,
        watching: Callable[[], None] = lambda: None,
    ) -> None:
        """`leadership`: how this process and others agree on who works; without it this one does.

        `watching` is called whenever kopf has begun to watch: it has taken the signals of the process then.
        """
        self._client = client
        self._leadership = leadership
        self._watching = watching
        self._config = config
        self.world = World(
            client=client,
            config=config,
            catalog=catalog,
            events=EventRecorder(client, instance=socket.gethostname()),
            stores=make_stores(config),
            operator_namespace=namespace,
            router_code=code,
        )
        self.deployments: WorkQueue[Key] = WorkQueue("deployments")
        self.routers: WorkQueue[Key] = WorkQueue("routers")
        self.filled = [
            store for resource, store in self.world.stores.items() if resource is not NODES or config.reads_nodes
        ]
        """Caches that are filled from the cluster: what may not be read is not asked for."""
        self.intake = Intake(self.world, deployments=self.deployments, routers=self.routers)
        self._synced = False
        self.leads = False
        """Whether this is the process that works."""
        self._beat = time.monotonic()

    async def run(self) -> None:
        """Watch, synchronise, wait for the Lease, then work."""
        tasks = [
            *(
                asyncio.create_task(
                    self._watch(namespaces, stores), name=f"watches of {', '.join(namespaces) or 'all'}"
                )
                for namespaces, stores in by_scope(self.filled).items()
            ),
            asyncio.create_task(self._heartbeat(), name="heartbeat"),
            asyncio.create_task(self.world.events.run(), name="events"),
        ]
        try:
            await self._synchronise()
            tasks.append(asyncio.create_task(self._resync(), name="resync"))
            tasks.append(asyncio.create_task(self._recheck(), name="recheck"))
            if self._leadership is not None:
                tasks.append(asyncio.create_task(self._leadership.run(), name="lease"))
                won = asyncio.create_task(self._leadership.won(), name="lease won")
                await self._first_of([*tasks, won])
                # What a watch missed while this one stood by must not be worked on.
                await self.relist()
            tasks += self._work()
            await self._first_of(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._leadership is not None:
                await self._leadership.release()

    def _work(self) -> list[asyncio.Task[None]]:
        """Queue everything and start whoever takes it from the queues."""
        self.leads = True
        self.intake.queues = True
        for obj in self.world.stores[GEMMA_DEPLOYMENTS]:
            self.intake.announce(GEMMA_DEPLOYMENTS, before=None, after=obj)
        # Those whose last user went while nobody worked, too.
        for resource in OWNED:
            for obj in self.world.stores[resource]:
                if router := (obj["metadata"].get("labels") or {}).get(names.ROUTER_LABEL):
                    self.routers.add_after((key_of(obj)[0], router), ROUTER_DELAY_SECONDS)
        jobs = {
            f"deployment-worker-{index}": work(self.deployments, self._reconcile_deployment, kind=names.KIND)
            for index in range(self._config.workers)
        }
        jobs["router-worker"] = work(self.routers, partial(reconcile_router, self.world), kind="Router")
        jobs["scaler"] = scaling.run(self.world, self.deployments, every=self._config.scrape_seconds)
        return [asyncio.create_task(job, name=name) for name, job in jobs.items()]

    @staticmethod
    async def _first_of(tasks: list[asyncio.Task[None]]) -> None:
        """Wait for the end of a task: only `lease won` may end."""
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
            if task.get_name() != "lease won":
                raise Transient(f"task {task.get_name()} ended")

    async def _reconcile_deployment(self, key: Key) -> Outcome:
        try:
            return await reconcile_deployment(self.world, key)
        finally:
            while self.world.rerouted:
                self.routers.add_after(self.world.rerouted.pop(), ROUTER_DELAY_SECONDS)

    def unhealthy(self) -> str:
        """What makes a restart the remedy, or nothing."""
        late = time.monotonic() - self._beat
        if late > STUCK_LOOP_SECONDS:
            return f"the event loop was stuck for {late:.0f} s"
        oldest = max(self.deployments.oldest_work(), self.routers.oldest_work())
        return f"a reconcile has been running for {oldest:.0f} s" if oldest > STUCK_WORKER_SECONDS else ""

    def unready(self) -> str:
        """Why the operator does not work yet, or nothing."""
        return "" if self._synced else "the caches are not filled yet"

    async def _watch(self, namespaces: Sequence[str], stores: list[Store]) -> None:
        # kopf watches all kinds of one operator in the same namespaces.
        others = asyncio.all_tasks()
        watching = await kopf.spawn_tasks(
            registry=watches.registry(stores, on_event=self.intake.take),
            settings=watches.settings(stores),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
        )
        self._watching()
        await kopf.run_tasks(watching, ignored=others)

    async def _synchronise(self) -> None:
        """Fill every cache from a list of our own: kopf does not say when its first list is done."""
        for attempt in range(1_000_000):
            try:
                await self.relist()
                break
            except Transient as error:
                if isinstance(error, ApiError) and error.status == 404:
                    # Nor would kopf find it later: it asks once, at its start, which kinds there are.
                    raise ConfigurationError(
                        f"{error}: the API server does not know this kind. Install its CustomResourceDefinition, and "
                        "wait for the next start; or, for HTTPRoutes, remove router.httpRoute from the configuration"
                    ) from error
                delay = min(30.0, 0.5 * 2.0 ** min(attempt, 10))
                logger().warning("first lists failed, again in %.1f s: %s", delay, error)
                await asyncio.sleep(delay)
        self._synced = True
        logger().info("caches are filled: %d GemmaDeployments", len(self.world.stores[GEMMA_DEPLOYMENTS]))

    async def relist(self, *, only: Collection[Resource] = ()) -> None:
        """Compare every cache, or some, with a list of what it holds."""
        for store in [each for each in self.filled if not only or each.resource in only]:
            for obj in await store.relist(self._client):
                known = store.get(key_of(obj))
                self.intake.announce(store.resource, before=None if known else obj, after=known)
                if self._synced:
                    telemetry.CACHE_REPAIRS.labels(kind=store.resource.kind).inc()

    async def _resync(self) -> None:
        """Find what the watches missed, and look at every GemmaDeployment again."""
        while True:
            await asyncio.sleep(self._config.resync_seconds)
            with contextlib.suppress(Transient):
                await self.relist()
            for obj in self.world.stores[GEMMA_DEPLOYMENTS] if self.leads else ():
                self.deployments.add_after(key_of(obj), 0)

    async def _recheck(self) -> None:
        """Find GPUs that are free although a cache does not know: whoever waits for them must not wait for a resync."""
        while True:
            await asyncio.sleep(WAITING_RELIST_SECONDS)
            if self.leads and self.world.blocked:
                with contextlib.suppress(Transient):
                    await self.relist(only=PLANNED_FROM)

    async def _heartbeat(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_BEAT_SECONDS)
            self._beat = time.monotonic()
            telemetry.LOOP_LAG.set(max(0.0, self._beat - before - _BEAT_SECONDS))
            if not self.leads:
                continue
            phases = Counter(obj.get("status", {}).get("phase", "") for obj in self.world.stores[GEMMA_DEPLOYMENTS])
            for phase in Phase:
                telemetry.DEPLOYMENTS.labels(phase=phase.value).set(phases[phase.value])
