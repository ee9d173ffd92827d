"""One engine replica: continuous batching, chunked prefill, a KV cache with reservations, a FIFO queue of its own.

A step generates one token for every running sequence and computes at most a chunk of prompt tokens. Steps between
two changes of the batch all take the same time, so a run of them is one event.
"""

from collections import deque
from enum import IntEnum
from heapq import heappop, heappush

from gemma_operator.simulator.types import Profile, Trace


class Phase(IntEnum):
    """Life of a replica."""

    LOADING = 0
    READY = 1
    DRAINING = 2
    GONE = 3


class Replica:
    """State of a replica. Times are seconds of the simulation, requests are indices of the trace."""

    __slots__ = (
        "_admitted",
        "_chunk",
        "_dt",
        "_inputs",
        "_kv_tokens",
        "_outputs",
        "_partial",
        "_per_prefill",
        "_per_sequence",
        "_prefilled",
        "_reserved",
        "_run",
        "_seqs",
        "_step_base",
        "active",
        "clock",
        "completions",
        "created",
        "decoding",
        "ends",
        "finished",
        "first",
        "generated",
        "gone",
        "hung",
        "name",
        "phase",
        "prompt",
        "ready_at",
        "step",
        "version",
        "waiting",
    )

    def __init__(self, name: int, trace: Trace, profile: Profile, first: list[float], *, created: float) -> None:
        self.name = name
        self.created = created
        self.ready_at = float("inf")
        self.gone = float("inf")
        self.phase = Phase.LOADING
        self.first = first
        self.hung = False
        self.version = 0
        self.clock = created
        self.step = 0
        self.completions = self.generated = self.prompt = 0
        self.waiting: deque[int] = deque()
        self.active = 0
        self.decoding = 0
        self.ends: list[tuple[int, int]] = []
        self.finished: list[int] = []
        self._inputs, self._outputs = trace.inputs, trace.outputs
        self._seqs, self._chunk, self._kv_tokens = profile.max_num_seqs, profile.chunk, profile.kv_tokens
        self._step_base = profile.step_base
        self._per_sequence, self._per_prefill = profile.step_per_sequence, profile.step_per_prefill_token
        self._reserved = 0
        self._partial = 0
        self._admitted: int | None = None
        self._prefilled: list[int] = []
        self._dt = 0.0
        self._run = 0

    @property
    def outstanding(self) -> int:
        """Requests inside the engine."""
        return self.active + len(self.waiting)

    @property
    def kv_usage(self) -> float:
        """The share of the KV cache that is reserved."""
        return min(self._reserved / self._kv_tokens, 1.0)

    def _fits(self, request: int) -> bool:
        need = self._inputs[request] + self._outputs[request]
        return self.active < self._seqs and (self._reserved + need <= self._kv_tokens or not self.active)

    def add(self, request: int, now: float) -> float | None:
        """Take a request in; the end of the current run of steps, if it changed."""
        self.waiting.append(request)
        if self.hung:
            return None
        if not self._dt:
            self.clock = now
            return self._start()
        if len(self.waiting) == 1 and self._run > 1 and self._fits(request):
            steps = int((now - self.clock) / self._dt) + 1
            if steps < self._run:
                self._run = steps
                return self.clock + steps * self._dt
        return None

    def advance(self) -> float | None:
        """End the current run of steps and start the next; its end, or nothing when idle. Fills `finished`."""
        run = self._run
        now = self.clock = self.clock + run * self._dt
        self.step = step = self.step + run
        self.generated += run * self.decoding
        ends = self.ends
        if self._prefilled:
            self._first_tokens(now)
        while ends and ends[0][0] <= step:
            request = heappop(ends)[1]
            self.decoding -= 1
            self._leave(request)
        return self._start()

    def _first_tokens(self, now: float) -> None:
        step = self.step
        for request in self._prefilled:
            self.first[request] = now
            self.generated += 1
            more = self._outputs[request] - 1
            if more:
                heappush(self.ends, (step + more, request))
                self.decoding += 1
            else:
                self._leave(request)
        self._prefilled = []

    def _leave(self, request: int) -> None:
        self.active -= 1
        self.completions += 1
        self._reserved -= self._inputs[request] + self._outputs[request]
        self.finished.append(request)

    def _start(self) -> float | None:
        """Begin a run: one step with prompt tokens, or decode steps until the first sequence ends."""
        budget = self._chunk
        if self._admitted is not None:
            budget = self._take(self._admitted, budget)
        waiting = self.waiting
        while waiting and budget and self._fits(waiting[0]):
            request = waiting.popleft()
            self.active += 1
            tokens = self._inputs[request]
            self._reserved += tokens + self._outputs[request]
            self._partial = tokens
            budget = self._take(request, budget)
        used = self._chunk - budget
        if used:
            self.prompt += used
            self._run = 1
        elif self.ends:
            self._run = self.ends[0][0] - self.step
        else:
            self._dt = 0.0
            self._run = 0
            return None
        self._dt = self._step_base + self._per_sequence * self.active + self._per_prefill * used
        return self.clock + self._run * self._dt

    def _take(self, request: int, budget: int) -> int:
        """Compute prompt tokens of one request; what is left of the chunk."""
        used = min(budget, self._partial)
        self._partial -= used
        if self._partial:
            self._admitted = request
        else:
            self._admitted = None
            self._prefilled.append(request)
        return budget - used

    def counters(self, now: float) -> tuple[int, int]:
        """Steps and generated tokens so far."""
        steps = 0
        if self._dt and not self._prefilled and self._admitted is None and not self.hung:
            steps = min(int((now - self.clock) / self._dt), self._run)
        return self.step + steps, self.generated + steps * self.decoding
