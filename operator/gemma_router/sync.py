"""From what the API says to what LiteLLM serves: one task, always with the newest state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from .dispatch import Dispatcher
from .endpoints import Member, deployment_of, desired_members, router_pods
from .members import MemberTable
from .routes import Route, RoutesInvalid, aliases, parse_routes

log = logging.getLogger(__name__)

ROUTES_KEY = "routes.json"
RETRY_SECONDS = 1.0

Objects = Mapping[str, Mapping[str, Any]]


class Sync:
    """Holds the last good routes and slices, and applies them when either changes."""

    def __init__(
        self,
        *,
        table: MemberTable,
        dispatcher: Dispatcher,
        backend_ready: Callable[[], bool],
        applied: Callable[[Mapping[str, Member]], None] = lambda members: None,
    ) -> None:
        self._table = table
        self._told = applied
        self._dispatcher = dispatcher
        self._backend_ready = backend_ready
        self._slices: Objects = {}
        self._routes: tuple[Route, ...] | None = None
        self._served: tuple[Route, ...] = ()
        self._dirty = asyncio.Event()
        self._dirty.set()
        self.applied = False
        """Whether LiteLLM has got routes and endpoints once. Without routes the pod must not be Ready."""

    def routes_changed(self, configmaps: Objects) -> None:
        """Take the routes ConfigMap; without one, or with one that cannot be read, the routes stay as they were.

        The operator empties the list when there is no deployment. A ConfigMap that is gone was deleted by mistake.
        """
        text = next(
            (data[ROUTES_KEY] for item in configmaps.values() if ROUTES_KEY in (data := item.get("data") or {})), None
        )
        if text is None:
            log.error("no ConfigMap with %s: routes stay as they were; the operator writes it again", ROUTES_KEY)
            return
        try:
            self._routes = parse_routes(text)
        except RoutesInvalid as error:
            log.error("routes are kept as they were: %s", error)
            return
        self._dirty.set()

    def slices_changed(self, slices: Objects) -> None:
        """Take the EndpointSlices."""
        self._slices = slices
        self._dirty.set()

    def names(self) -> set[str]:
        """Return every name a client may use as a model: deployments and aliases."""
        return {route.name for route in self._served} | aliases(self._served).keys()

    def counts(self) -> dict[str, dict[str, int]]:
        """Return deployment → its numbers on this router pod; endpoints that left still count in flight."""
        running: dict[str, int] = {}
        for member_id, count in self._dispatcher.in_flight.by_member().items():
            deployment = deployment_of(member_id)
            running[deployment] = running.get(deployment, 0) + count
        members: dict[str, int] = {}
        for member in self._dispatcher.members.values():
            members[member.deployment] = members.get(member.deployment, 0) + 1
        names = {route.name for route in self._served} | running.keys()
        return {name: self._count(name, members.get(name, 0), running.get(name, 0)) for name in sorted(names)}

    def _count(self, name: str, members: int, running: int) -> dict[str, int]:
        usable = len(self._dispatcher.usable(name))
        held = self._dispatcher.waiting(name)
        return {
            "endpoints": usable,
            "ejected": members - usable,
            "unsampled": self._dispatcher.unsampled(name),
            "inFlight": running,
            "held": held,
            "heldNoEndpoint": 0 if usable else held,
            "heldBusy": held if usable else 0,
            "oldestHeldSeconds": round(self._dispatcher.oldest_wait(name)),
        }

    async def run(self) -> None:
        """Apply changes until cancelled; what fails is tried again."""
        while not self._backend_ready():  # noqa: ASYNC110
            # The hook runs before LiteLLM loads its configuration and nothing tells when that is done.
            await asyncio.sleep(0.02)
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._apply()
            except Exception:
                log.exception("LiteLLM refused a change of its endpoints, trying again")
                await asyncio.sleep(RETRY_SECONDS)
                self._dirty.set()

    async def _apply(self) -> None:
        routes = self._routes
        if routes is None:
            return
        members: dict[str, Member] = desired_members(self._slices.values(), routes)
        # First out of the choice, then out of LiteLLM; in the other order a chosen endpoint could be unknown to it.
        known = self._dispatcher.members
        peers = router_pods(self._slices.values())
        staying = {id_: member for id_, member in members.items() if id_ in known}
        self._dispatcher.replace(staying, routes=routes, peers=peers)
        await self._table.apply(routes, members)
        self._dispatcher.remove({route.name for route in self._served} - {route.name for route in routes})
        self._served = routes
        self._dispatcher.replace(members, routes=routes, peers=peers)
        self._told(members)
        self.applied = True
