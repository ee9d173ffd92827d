"""LiteLLM's worker start-up hook: connect watch, members, balancing, keys and the internal port."""

from __future__ import annotations

import asyncio
import logging
import time

import aiohttp

from . import kube, litellm_seam
from .dispatch import Bounds, Dispatcher
from .drain import Drain
from .endpoints import ROUTER_LABEL, Member
from .gate import App, Gate
from .imports import OPTIONAL, fail_at_once
from .keys import KeyRing, same_key
from .logs import configure
from .members import MemberTable
from .metrics import Metrics
from .proxy_config import HOLD_BYTES
from .scrape import Scraper
from .settings import Settings
from .state_server import serve
from .sync import Sync
from .watch import ListWatch

log = logging.getLogger(__name__)

PROBE = aiohttp.ClientTimeout(total=2)
_keep: list[object] = []
"""Tasks and servers live as long as the process; without a reference asyncio may drop them."""


async def start() -> None:
    """Prepare everything and return when routes and endpoints were listed once.

    LiteLLM opens its port only afterwards: a router that knows no endpoint must not be Ready. While the API cannot be
    reached or RBAC is missing this waits, with a line in the log for each attempt. Raises `SettingsInvalid`.
    """
    configure()
    for name in OPTIONAL:
        fail_at_once(name)
    settings = Settings.from_environment()
    litellm_seam.bound_silence()
    session = kube.session()
    dispatcher = Dispatcher(
        bounds=Bounds(hold_seconds=settings.hold_seconds, queue=settings.hold_queue, queue_bytes=HOLD_BYTES),
        probe=lambda member: _answers(session, member),
    )
    table = MemberTable(litellm_seam.RouterBackend(), engine_key=settings.engine_key, timeout=settings.request_timeout)
    scraper = Scraper(
        session=session,
        engine_key=settings.engine_key,
        own=dispatcher.in_flight.at,
        sampled=dispatcher.sampled,
        refused=lambda member_id: dispatcher.failed(member_id, "unreachable"),
    )
    sync = Sync(table=table, dispatcher=dispatcher, backend_ready=litellm_seam.router_exists, applied=scraper.replace)
    drain = Drain(seconds=settings.drain_seconds, give_up=dispatcher.stop)
    drain.install()
    watches = _watches(settings, session, sync)
    metrics = Metrics(sync.counts)
    keys = KeyRing(settings.keys_dir)
    keys.refresh()

    def gate(app: App) -> Gate:
        return Gate(
            app,
            client=keys.client,
            is_master=lambda key: same_key(key, settings.master_key),
            ready=lambda: sync.applied,
            finished=dispatcher.finished,
            metrics=metrics,
            stopping=lambda: drain.stopping,
            comment_seconds=settings.comment_seconds,
        )

    litellm_seam.wrap_app(gate)
    litellm_seam.register(litellm_seam.Callback(dispatcher, names=sync.names))

    def state() -> dict[str, object]:
        return {
            "router": settings.router,
            "namespace": settings.namespace,
            "at": time.time(),
            "applied": sync.applied,
            "stopping": drain.stopping,
            "apiReachable": all(watch.reachable for watch in watches),
            "deployments": sync.counts(),
        }

    _keep.append(await serve(port=settings.state_port, state=state, metrics=metrics.exposition))
    _keep.extend(asyncio.create_task(watch.run(), name="watch") for watch in watches)
    await asyncio.gather(*(watch.listed.wait() for watch in watches))
    _keep.append(asyncio.create_task(sync.run(), name="apply"))
    log.info("router %s/%s started", settings.namespace, settings.router)


def _watches(settings: Settings, session: aiohttp.ClientSession, sync: Sync) -> tuple[ListWatch, ListWatch]:
    api = kube.KubeApi.from_environment()
    base = f"namespaces/{settings.namespace}"
    routes = ListWatch(
        api=api,
        session=session,
        path=f"/api/v1/{base}/configmaps",
        params={"fieldSelector": f"metadata.name={settings.router}-routes"},
        changed=sync.routes_changed,
    )
    slices = ListWatch(
        api=api,
        session=session,
        path=f"/apis/discovery.k8s.io/v1/{base}/endpointslices",
        params={"labelSelector": f"{ROUTER_LABEL}={settings.router}"},
        changed=sync.slices_changed,
    )
    return routes, slices


async def _answers(session: aiohttp.ClientSession, member: Member) -> bool:
    try:
        async with session.get(f"{member.url}/health", timeout=PROBE) as response:
            return response.status == 200
    except (TimeoutError, aiohttp.ClientError, OSError):
        return False
