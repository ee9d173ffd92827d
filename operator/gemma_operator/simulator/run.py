"""The event loop: arrivals, engine steps, start-ups and decisions in order of time."""

import math
from collections.abc import Callable
from dataclasses import replace
from heapq import heappop

from gemma_operator.simulator import fleet as f
from gemma_operator.simulator.fleet import Fleet
from gemma_operator.simulator.outcome import summarise
from gemma_operator.simulator.replica import Phase
from gemma_operator.simulator.scaler import Scaler, View
from gemma_operator.simulator.types import Fault, Point, Result, Setup, Trace

_FIRST_WORK, _FIRST_USE = 600.0, 0.8
_POINT_EVERY = 30.0
_PROGRESS_EVERY = 5000
_PATIENCE = 3600.0
"""Seconds after the last arrival in which a policy is asked for what the router holds; some never wake a replica."""

Progress = Callable[[int], None]


def initial_replicas(trace: Trace, setup: Setup) -> int:
    """What the work of the first ten minutes needs at 80 % use."""
    if setup.initial is not None:
        return setup.initial
    profile = setup.profile
    span = min(_FIRST_WORK, max(trace.duration, 1.0))
    first = [index for index, at in enumerate(trace.arrivals) if at < span]
    if not first:
        return max(setup.minimum, 1)
    prompt = sum(trace.inputs[index] for index in first)
    output = sum(trace.outputs[index] for index in first)
    batch = profile.batch(tokens=(prompt + output) / len(first))
    per_token = (profile.step_base + profile.step_per_sequence * batch) / batch
    work = profile.step_per_prefill_token * prompt + per_token * output
    wanted = math.ceil(work / span / _FIRST_USE)
    ceiling = min(x for x in (setup.maximum, setup.supply, setup.affordable) if x is not None)
    return max(setup.minimum, 1, min(wanted, ceiling))


def simulate(trace: Trace, setup: Setup, scaler: Scaler, *, progress: Progress | None = None) -> Result:
    """Replay a trace under one policy. The same arguments give the same result."""
    return _Run(trace, setup, scaler, progress).run()


class _Run:
    def __init__(self, trace: Trace, setup: Setup, scaler: Scaler, progress: Progress | None) -> None:
        self.trace, self.setup, self.scaler, self.progress = trace, setup, scaler, progress
        self.fleet = Fleet(trace, setup)
        self.changes = self.most = self.down_in_gap = 0
        self.points: list[Point] = []
        self.scraped: View | None = None
        self.end = trace.duration

    def run(self) -> Result:
        fleet, arrivals = self.fleet, self.trace.arrivals
        for _ in range(initial_replicas(self.trace, self.setup)):
            fleet.create(0.0, ready=True)
        self.most = fleet.current
        fleet.at(self.scaler.every, f.TICK)
        if self.scaler.delay:
            fleet.at(max(self.scaler.every - self.scaler.delay, 0.0), f.SCRAPE)
        for index, fault in enumerate(self.setup.faults):
            fleet.at(fault.at, f.FAULT, index)
        events, position, count = fleet.events, 0, len(arrivals)
        following = arrivals[0] if count else float("inf")
        while True:
            if events and events[0][0] <= following:
                now, _, kind, name, version = heappop(events)
                if kind == f.STEP:
                    replica = fleet.replicas.get(name)
                    if replica is not None and replica.version == version and not replica.hung:
                        fleet.step(replica, now)
                else:
                    self._rare(now, kind, name)
            elif position < count:
                fleet.arrive(position, following)
                position += 1
                following = arrivals[position] if position < count else float("inf")
                if self.progress and position % _PROGRESS_EVERY == 0:
                    self.progress(position)
            else:
                break
        fleet.expire(math.inf)
        if self.progress:
            self.progress(count)
        return summarise(
            fleet,
            self.trace,
            self.setup,
            policy=self.scaler.name,
            changes=self.changes,
            most=self.most,
            points=self.points,
            reasons=self.scaler.reasons,
            down_in_gap=self.down_in_gap,
        )

    def _rare(self, now: float, kind: int, name: int) -> None:
        fleet = self.fleet
        if kind == f.TICK:
            self._tick(now)
        elif kind == f.SCRAPE:
            self._scrape(now)
        elif kind == f.FAULT:
            self._fault(self.setup.faults[name], now)
        elif (replica := fleet.replicas.get(name)) is None:
            return
        elif kind == f.READY and replica.phase == Phase.LOADING:
            fleet.become_ready(replica, now)
        elif kind == f.KILL and replica.hung and replica.phase == Phase.READY:
            fleet.remove(replica, now)
            fleet.create(now)
        elif kind == f.KILL:
            fleet.remove(replica, now)

    def _goes_on(self, now: float) -> bool:
        """Whether the policy is still asked: requests come, or the router holds some that came."""
        return now <= self.end + (_PATIENCE if self.fleet.held else 0.0)

    def _in_gap(self, now: float) -> bool:
        return any(fault.kind == "gap" and fault.at <= now < fault.at + fault.seconds for fault in self.setup.faults)

    def _fault(self, fault: Fault, now: float) -> None:
        if fault.kind == "stuck":
            self.fleet.stuck_next = True
        elif fault.kind == "hung" and self.fleet.ready:
            replica = self.fleet.ready[0]
            replica.hung = True
            self.fleet.at(now + fault.seconds, f.KILL, replica.name)

    def _tick(self, now: float) -> None:
        """Scrape, and decide on what was scraped `delay` seconds ago."""
        fleet, scaler = self.fleet, self.scaler
        gap = self._in_gap(now)
        if not self.points or now - self.points[-1].at >= _POINT_EVERY:
            self._point(now)
        if self._goes_on(now):
            wanted = scaler.decide(self._seen(now, gap=gap))
            ceiling = min(x for x in (self.setup.maximum, self.setup.supply, self.setup.affordable) if x is not None)
            wanted = min(max(wanted, self.setup.minimum), max(ceiling, 0))
            before = fleet.current
            if fleet.resize(wanted, now, grace=scaler.grace, fewest_first=scaler.fewest_first):
                self.changes += 1
                self.down_in_gap += gap and wanted < before
            self.most = max(self.most, fleet.current)
            fleet.startups.clear()
            fleet.at(now + scaler.every, f.TICK)

    def _scrape(self, now: float) -> None:
        """Metrics for a decision to come. A gap leaves the last sample in place, as a time series database does."""
        if self.scraped is None or not self._in_gap(now):
            self.scraped = self.fleet.view(now, gap=False)
        if self._goes_on(now):
            self.fleet.at(now + self.setup.metrics_interval, f.SCRAPE)

    def _seen(self, now: float, *, gap: bool) -> View:
        """The fleet of now, with the metrics that the policy has by now."""
        if self.scraped is None:
            return self.fleet.view(now, gap=gap)
        live = self.fleet.view(now, gap=True)
        return replace(live, pods=self.scraped.pods, held=self.scraped.held, gap=gap)

    def _point(self, now: float) -> None:
        fleet = self.fleet
        running = sum(replica.active for replica in fleet.replicas.values())
        waiting = sum(len(replica.waiting) for replica in fleet.replicas.values())
        self.points.append(
            Point(
                at=now,
                replicas=len(fleet.replicas),
                ready=len(fleet.ready),
                running=running,
                queued=waiting + len(fleet.held),
            )
        )
