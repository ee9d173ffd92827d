"""The simulated fleet: replicas that load, serve, drain and go, and the router in front of them."""

import random
from collections import deque
from heapq import heappush

from gemma_router.load import Limits, Sample, has_room

from gemma_operator.simulator.replica import Phase, Replica
from gemma_operator.simulator.scaler import PodView, View
from gemma_operator.simulator.types import Setup, Trace

Event = tuple[float, int, int, int, int]
"""Time, tie-breaker, kind, replica, version."""
STEP, READY, KILL, SCRAPE, TICK, FAULT = range(6)


class Fleet:
    """Replicas of one deployment and the requests among them."""

    def __init__(self, trace: Trace, setup: Setup) -> None:
        self.trace, self.setup = trace, setup
        self.first: list[float] = [0.0] * len(trace)
        self.done: list[float] = [0.0] * len(trace)
        self.events: list[Event] = []
        self.replicas: dict[int, Replica] = {}
        self.ready: list[Replica] = []
        self.gone: list[Replica] = []
        self.held: deque[int] = deque()
        self.interrupted = self.refused = self.created = self.order = 0
        self.startups: list[float] = []
        self.stuck_next = False
        self._random = random.Random(setup.seed)
        self._turn = 0
        self._late = setup.late_binding
        self._limits = Limits(setup.profile.max_num_seqs)

    def at(self, when: float, kind: int, replica: int = -1, version: int = 0) -> None:
        """Schedule an event."""
        self.order += 1
        heappush(self.events, (when, self.order, kind, replica, version))

    @property
    def current(self) -> int:
        """Replicas asked for."""
        return sum(1 for replica in self.replicas.values() if replica.phase <= Phase.READY)

    def create(self, now: float, *, ready: bool = False) -> None:
        """Add a replica."""
        replica = Replica(self.created, self.trace, self.setup.profile, self.first, created=now)
        self.created += 1
        self.replicas[replica.name] = replica
        if ready:
            replica.phase, replica.ready_at = Phase.READY, now
            self.ready.append(replica)
            return
        spread = self._random.uniform(-self.setup.jitter, self.setup.jitter)
        if self.stuck_next:
            self.stuck_next = False
            return
        self.at(now + self.setup.startup * (1 + spread), READY, replica.name)

    def become_ready(self, replica: Replica, now: float) -> None:
        """A replica has loaded."""
        replica.phase, replica.ready_at = Phase.READY, now
        self.startups.append(now - replica.created)
        self.ready.append(replica)
        self._send_held(now)

    def resize(self, wanted: int, now: float, *, grace: float | None, fewest_first: bool) -> bool:
        """Create or drain replicas; whether the number changed."""
        current = self.current
        for _ in range(wanted - current):
            self.create(now)
        for _ in range(current - wanted):
            self._drain(self._victim(fewest_first=fewest_first), now, grace)
        return wanted != current

    def _victim(self, *, fewest_first: bool) -> Replica:
        loading = [replica for replica in self.replicas.values() if replica.phase == Phase.LOADING]
        if loading:
            return max(loading, key=lambda replica: (replica.created, replica.name))
        if fewest_first:
            return min(self.ready, key=lambda replica: (replica.outstanding, -replica.ready_at, replica.name))
        return max(self.ready, key=lambda replica: (replica.ready_at, replica.name))

    def _drain(self, replica: Replica, now: float, grace: float | None) -> None:
        if replica in self.ready:
            self.ready.remove(replica)
        if not replica.outstanding:
            self.remove(replica, now)
            return
        replica.phase = Phase.DRAINING
        if grace is not None:
            self.at(now + grace, KILL, replica.name)

    def remove(self, replica: Replica, now: float) -> None:
        """A replica is gone; what it still had is lost."""
        replica.phase, replica.gone = Phase.GONE, now
        replica.version += 1
        if replica in self.ready:
            self.ready.remove(replica)
        self.interrupted += replica.outstanding
        del self.replicas[replica.name]
        self.gone.append(replica)

    def arrive(self, request: int, now: float) -> None:
        """A request reaches the router."""
        target = self._target()
        if self.held or target is None:
            self.expire(now)
            limit = self.setup.queue_limit
            if limit is not None and len(self.held) >= limit:
                self.refused += 1
                self.done[request] = -1.0
                return
            self.held.append(request)
            if target is not None:
                self._send_held(now)
            return
        self._send(target, request, now)

    def _target(self) -> Replica | None:
        """The endpoint with fewest in flight; with late binding only one of those where the router sees room."""
        ready = self.ready
        count = len(ready)
        if not count:
            return None
        self._turn += 1
        turn = self._turn % count
        best, least = ready[turn], 1 << 60
        for index in range(turn - count, turn):
            replica = ready[index]
            outstanding = replica.active + len(replica.waiting)
            if outstanding < least:
                best, least = replica, outstanding
        if not self._late or self._has_room(best):
            return best
        free = [replica for replica in ready if self._has_room(replica)]
        return min(free, key=lambda replica: replica.outstanding, default=None)

    def _has_room(self, replica: Replica) -> bool:
        """The rule of the router itself, which sees its engines at once here."""
        own = replica.outstanding
        waiting = len(replica.waiting)
        sample = Sample(running=replica.active, waiting=waiting, kv=replica.kv_usage, own=own, at=0.0)
        return has_room(own, sample, self._limits)

    def _send(self, replica: Replica, request: int, now: float) -> None:
        end = replica.add(request, now)
        if end is not None:
            replica.version += 1
            self.at(end, STEP, replica.name, replica.version)

    def expire(self, now: float) -> None:
        """Refuse who has waited in the router for too long."""
        timeout = self.setup.hold_timeout
        while timeout is not None and self.held and now - self.trace.arrivals[self.held[0]] > timeout:
            self.refused += 1
            self.done[self.held.popleft()] = -1.0

    def _send_held(self, now: float) -> None:
        self.expire(now)
        while self.held:
            target = self._target()
            if target is None:
                return
            self._send(target, self.held.popleft(), now)

    def step(self, replica: Replica, now: float) -> None:
        """The run of steps of a replica ended."""
        end = replica.advance()
        if end is not None:
            replica.version += 1
            self.at(end, STEP, replica.name, replica.version)
        if replica.finished:
            done = self.done
            for request in replica.finished:
                done[request] = now
            replica.finished.clear()
        if replica.phase == Phase.DRAINING:
            if not replica.outstanding:
                self.remove(replica, now)
        elif self.held:
            self._send_held(now)

    def view(self, now: float, *, gap: bool) -> View:
        """What a scrape of everything says."""
        self.expire(now)
        pods = []
        ready = 0
        in_flight = 0
        pending = []
        for replica in self.replicas.values():
            if replica.phase == Phase.LOADING:
                pending.append((f"r{replica.name}", now - replica.created))
                continue
            ready += replica.phase == Phase.READY
            in_flight += replica.outstanding
            if gap:
                continue
            steps, generated = replica.counters(now)
            pods.append(
                PodView(
                    name=f"r{replica.name}",
                    running=replica.active,
                    waiting=len(replica.waiting),
                    kv_usage=replica.kv_usage,
                    completions=replica.completions,
                    generated=generated,
                    prompt=replica.prompt,
                    steps=steps,
                    draining=replica.phase == Phase.DRAINING,
                    ready_at=replica.ready_at,
                )
            )
        return View(
            now=now,
            pods=tuple(pods),
            ready=ready,
            pending=tuple(pending),
            current=ready + len(pending),
            held=len(self.held),
            in_flight=in_flight,
            startups=tuple(self.startups),
            gap=gap,
        )
