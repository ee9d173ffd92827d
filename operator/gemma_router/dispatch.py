"""Which endpoint gets which request, and when: a request waits here until an endpoint can run it soon."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from . import unavailable
from .balance import InFlight, choose
from .ejection import SHUTDOWN_SECONDS, Ejections
from .endpoints import Member, deployment_of
from .line import Line, Ticket
from .load import STALE_SECONDS, Limits, Sample, has_room, load
from .requests import ClientRequest
from .routes import Route
from .unavailable import Unavailable


@dataclass(frozen=True, slots=True)
class Bounds:
    """On waiting. Seconds hold where the route says nothing.

    `queue` counts the requests of one deployment, `queue_bytes` their bodies over all deployments.
    """

    hold_seconds: float
    queue: int
    queue_bytes: float
    startup_seconds: float = 180.0


class Dispatcher:
    """The members that LiteLLM has now, what runs on them, and who waits for one.

    A request is counted at its endpoint in the same step in which its turn is decided, so a free slot wakes the one
    request that gets it.
    """

    def __init__(self, *, bounds: Bounds, probe: Callable[[Member], Awaitable[bool]]) -> None:
        self._bounds = bounds
        self.in_flight = InFlight()
        self.ejections = Ejections(probe=probe, restored=lambda member: self._serve(member.deployment))
        self._members: dict[str, Member] = {}
        self._by_deployment: dict[str, list[str]] = {}
        self._routes: dict[str, Route] = {}
        self._peers = 1
        self._samples: dict[str, Sample] = {}
        self._lines: dict[str, Line] = {}
        self._empty_since: dict[str, float] = {}
        self._last_wait: dict[str, float] = {}
        self._stopping = False

    @property
    def members(self) -> Mapping[str, Member]:
        """Id → member, ejected ones included."""
        return self._members

    def replace(self, members: Mapping[str, Member], *, routes: Iterable[Route] = (), peers: int = 1) -> None:
        """Take over what was just applied, and let waiting requests go to new members.

        `peers` counts the router pods that serve, this one included.
        """
        self._members = dict(members)
        self._by_deployment = {}
        for member_id, member in self._members.items():
            self._by_deployment.setdefault(member.deployment, []).append(member_id)
        self._routes = {route.name: route for route in routes}
        self._peers = max(1, peers)
        self._samples = {id_: sample for id_, sample in self._samples.items() if id_ in self._members}
        self.ejections.keep_only(self._members)
        for deployment in self._by_deployment.keys() | self._lines.keys():
            self._serve(deployment)

    def remove(self, deployments: Iterable[str]) -> None:
        """Give up the requests that wait for deployments that exist no longer."""
        for name in deployments:
            self._give_up(name, Unavailable(f"deployment {name!r} was removed", reason="removed"))

    def stop(self) -> None:
        """Give up all requests that wait, and those to come: this process ends before they could be answered."""
        self._stopping = True
        for name in list(self._lines):
            self._give_up(name, _stopping(name))

    def sampled(self, member_id: str, sample: Sample) -> None:
        """Take what an engine has just reported; requests that wait may find room by it."""
        member = self._members.get(member_id)
        if member is not None:
            self._samples[member_id] = sample
            self._serve(member.deployment)

    def usable(self, deployment: str) -> list[str]:
        """Return the ids that may get a request of this deployment, busy ones included."""
        return [id_ for id_ in self._by_deployment.get(deployment, ()) if id_ not in self.ejections]

    def waiting(self, deployment: str) -> int:
        """Return how many requests wait for this deployment."""
        return len(self._lines.get(deployment, ()))

    def oldest_wait(self, deployment: str) -> float:
        """Return for how many seconds the oldest waiting request of this deployment has waited."""
        now = _now()
        line = self._lines.get(deployment)
        return now - line.oldest(now) if line else 0.0

    def unsampled(self, deployment: str) -> int:
        """Return how many usable members have no fresh sample: they are judged by this pod's own count."""
        return sum(self._sample(member_id) is None for member_id in self.usable(deployment))

    async def pick(self, deployment: str, request: ClientRequest | None) -> str:
        """Return the member for the next attempt, counted as in flight; wait while none can run it soon.

        `request` is None for calls that no client made; they neither wait nor count. Raises `Unavailable`.
        """
        if request is None:
            if not (usable := self.usable(deployment)):
                raise self._unavailable(deployment, "none is ready", reason="timeout")
            return random.choice(usable)
        if request.ended:
            raise _ended(deployment)
        self._release(request)
        request.deployment = deployment
        if not self._lines.get(deployment):
            usable = self.usable(deployment)
            member_id = self._place(request, usable, self._open(deployment, usable))
            if member_id is not None:
                return member_id
        return await self._wait(deployment, request)

    def failed(self, member_id: str, failure: str) -> None:
        """Judge a failed attempt: a refused or unreachable connection, or an engine that shuts down, ejects."""
        member = self._members.get(member_id)
        if member is None:
            return
        if failure == "unreachable":
            self.ejections.eject(member, "it does not accept connections")
        elif failure == "shutdown":
            self.ejections.eject(member, "its engine shuts down", first_probe_after=SHUTDOWN_SECONDS)

    def finished(self, request: ClientRequest) -> None:
        """Forget a request, however it ended, for good; the slot that it leaves goes to the next one."""
        request.ended = True
        self._release(request)

    def _release(self, request: ClientRequest) -> None:
        member_id = self.in_flight.close(request)
        if member_id is not None:
            self._serve(deployment_of(member_id))

    async def _wait(self, deployment: str, request: ClientRequest) -> str:
        bound, started = self._hold_seconds(deployment), _now()
        ticket = Ticket(request, since=started, turn=asyncio.get_running_loop().create_future(), size=request.size)
        line = self._enter(deployment, ticket)
        self._serve(deployment)
        left = bound - request.waited.get(deployment, 0.0)
        # Not a timeout around the wait: it would cancel a turn that has just come.
        timer = asyncio.get_running_loop().call_later(max(0.0, left), self._expire, deployment, ticket, bound)
        try:
            answer = await ticket.turn
        finally:
            timer.cancel()
            waited = _now() - started
            request.waited[deployment] = request.waited.get(deployment, 0.0) + waited
            if line.discard(ticket):
                self._serve(deployment)
            if not line and self._lines.get(deployment) is line:
                del self._lines[deployment]
                # Nobody wants an endpoint any more: who comes later is the first to wait for a start.
                self._empty_since.pop(deployment, None)
        if isinstance(answer, Unavailable):
            raise answer
        self._last_wait[deployment] = waited
        return answer

    def _expire(self, deployment: str, ticket: Ticket, bound: float) -> None:
        _tell(ticket, self._unavailable(deployment, f"this request has waited {bound:g} s", reason="timeout"))

    def _enter(self, deployment: str, ticket: Ticket) -> Line:
        """Put a request into the line. Where it is full, the client that has most makes place for the others."""
        if self._stopping:
            raise _stopping(deployment)
        if self._switched_off(deployment) and not self.usable(deployment):
            # Before it could push out others.
            raise unavailable.switched_off(deployment)
        line = self._lines.get(deployment) or Line()
        last = None
        if len(line) >= self._bounds.queue:
            full = self._unavailable(deployment, f"{len(line)} requests wait already", reason="full")
            last = line.crowder(ticket.client)
            if last is None:
                raise full
        crowders = self._crowders(ticket, last)
        if last is not None:
            line.discard(last)
            _tell(last, full)
        for crowder in crowders:
            name = crowder.request.deployment
            self._lines[name].discard(crowder)
            _tell(crowder, self._no_memory(name))
        self._lines[deployment] = line
        line.add(ticket)
        if not self.usable(deployment):
            self._empty_since.setdefault(deployment, _now())
        return line

    def _crowders(self, newcomer: Ticket, last: Ticket | None) -> list[Ticket]:
        """Return whose bytes make place for a newcomer, once `last` has left: the latest of who has most bytes.

        Raises `Unavailable` where the newcomer's client would then be the one that has most.
        """
        sizes: Counter[str] = Counter()
        for line in self._lines.values():
            sizes.update(line.sizes)
        sizes[newcomer.client] += newcomer.size
        if last is not None:
            sizes[last.client] -= last.size
        waiting: dict[str, list[Ticket]] = {}
        found: list[Ticket] = []
        while sizes.total() > self._bounds.queue_bytes:
            client = max(sizes, key=sizes.__getitem__)
            if sizes[client] <= sizes[newcomer.client]:
                raise self._no_memory(newcomer.request.deployment)
            if client not in waiting:
                tickets = (each for line in self._lines.values() for each in line.of(client))
                others = (each for each in tickets if each.size and each is not last)
                waiting[client] = sorted(others, key=lambda each: each.since)
            found.append(waiting[client].pop())
            sizes[client] -= found[-1].size
        return found

    def _no_memory(self, deployment: str) -> Unavailable:
        return self._unavailable(deployment, "this router pod has no memory for more that waits", reason="full")

    def _serve(self, deployment: str) -> None:
        """Give free slots to waiting requests until one of both is used up."""
        if self.usable(deployment):
            self._empty_since.pop(deployment, None)
        elif self._switched_off(deployment):
            self._give_up(deployment, unavailable.switched_off(deployment))
        line = self._lines.get(deployment)
        while line and self._serve_one(deployment, line):
            pass

    def _serve_one(self, deployment: str, line: Line) -> bool:
        usable = self.usable(deployment)
        open_ = self._open(deployment, usable)
        for ticket in line.offers() if open_ else ():
            if ticket.request.ended:
                _tell(ticket, _ended(deployment))
            if ticket.turn.done():
                # Its client has left, or it was given up; its own task takes it out of the line.
                continue
            member_id = self._place(ticket.request, usable, open_)
            if member_id is not None:
                line.serve(ticket)
                ticket.turn.set_result(member_id)
                return True
        return False

    def _open(self, deployment: str, usable: Sequence[str]) -> list[str]:
        """Return the endpoints that would run one more request soon."""
        route = self._routes.get(deployment)
        limits = Limits(route.max_num_seqs if route else None, peers=self._peers)
        at = self.in_flight.at
        return [member_id for member_id in usable if has_room(at(member_id), self._sample(member_id), limits)]

    def _place(self, request: ClientRequest, usable: Sequence[str], open_: Sequence[str]) -> str | None:
        """Count the request at the least loaded of the open endpoints; None when there is none for it.

        A further attempt waits for an endpoint that was not tried, if there is one: the one that failed has always
        room, since it fails so fast.
        """
        fresh: Sequence[str] = [member_id for member_id in open_ if member_id not in request.tried]
        if not fresh and request.tried.issuperset(usable):
            fresh = open_
        if not fresh:
            return None
        at = self.in_flight.at
        member_id = choose(fresh, load=lambda member_id: load(at(member_id), self._sample(member_id)))
        request.tried.add(member_id)
        self.in_flight.open(request, member_id)
        return member_id

    def _sample(self, member_id: str) -> Sample | None:
        sample = self._samples.get(member_id)
        return sample if sample is not None and _now() - sample.at <= STALE_SECONDS else None

    def _give_up(self, deployment: str, why: Unavailable) -> None:
        for ticket in list(self._lines.get(deployment, ())):
            _tell(ticket, why)

    def _hold_seconds(self, deployment: str) -> float:
        route = self._routes.get(deployment)
        return self._bounds.hold_seconds if route is None or route.hold_seconds is None else route.hold_seconds

    def _switched_off(self, deployment: str) -> bool:
        route = self._routes.get(deployment)
        return route is not None and route.switched_off

    def _unavailable(self, deployment: str, why: str, *, reason: str) -> Unavailable:
        if usable := self.usable(deployment):
            wait = max(self.oldest_wait(deployment), self._last_wait.get(deployment, 0.0))
            return unavailable.busy(deployment, why, reason=reason, endpoints=len(usable), wait=wait)
        if self._switched_off(deployment):
            return unavailable.switched_off(deployment)
        route = self._routes.get(deployment)
        startup = (route and route.startup_seconds) or self._bounds.startup_seconds
        since = _now() - self._empty_since.get(deployment, _now())
        return unavailable.asleep(deployment, why, reason=reason, startup=startup, since=since)


def _tell(ticket: Ticket, why: Unavailable) -> None:
    if not ticket.turn.done():
        ticket.turn.set_result(why)


def _ended(deployment: str) -> Unavailable:
    return Unavailable(f"the request for deployment {deployment!r} has ended already", reason="ended")


def _stopping(deployment: str) -> Unavailable:
    return Unavailable(f"this router pod stops before deployment {deployment!r} could answer", reason="stopping")


def _now() -> float:
    return asyncio.get_running_loop().time()
