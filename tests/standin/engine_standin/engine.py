"""The engine: continuous batching, chunked prefill, a KV cache with preemption, and a clock instead of a GPU."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import count

from engine_standin.config import EngineConfig
from engine_standin.errors import EngineDeadError
from engine_standin.kv import BlockPool
from engine_standin.metrics import EngineMetrics
from engine_standin.script import FinishReason, Script
from engine_standin.sequences import Sequence, Siblings

# A shorter tick would cost more time in the event loop than it simulates.
_LEAST_TICK = 0.01


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request is: output tokens so far, tokens found in the prefix cache, and how it ended if it did."""

    emitted: int
    cached: int
    finished: FinishReason | None


class Engine:
    """Runs requests step by step; one task, everything else talks to it through sequences."""

    def __init__(self, config: EngineConfig, metrics: EngineMetrics) -> None:
        self.config = config
        self.metrics = metrics
        self.pool = BlockPool(
            tokens=config.kv_tokens, block_size=config.block_size, remember_prefixes=config.prefix_caching
        )
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.dead = False
        self.frozen = False
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._names = count()

    # -- for the API ---------------------------------------------------------------------------------------

    @property
    def unfinished(self) -> int:
        """Return how many requests wait or run."""
        return len(self.waiting) + len(self.running)

    @property
    def queued_tokens(self) -> int:
        """Return prompt tokens of requests that have not sent a token yet."""
        return sum(len(one.prompt) for one in [*self.waiting, *self.running] if not one.emitted)

    def submit(
        self, prompt: list[int], script: Script, *, max_tokens: int, siblings: Siblings | None = None
    ) -> Sequence:
        """Queue a request. Raises `EngineDeadError` when the engine is gone."""
        if self.dead:
            raise EngineDeadError
        sequence = Sequence(
            name=f"r{next(self._names)}",
            prompt=tuple(prompt),
            script=script,
            max_tokens=max_tokens,
            siblings=siblings or Siblings(n=1, left=1),
            arrived=asyncio.get_running_loop().time(),
        )
        self.waiting.append(sequence)
        self._idle.clear()
        self._work.set()
        self._publish()
        return sequence

    async def follow(self, sequence: Sequence) -> AsyncGenerator[Progress, None]:
        """Yield progress whenever tokens arrived; several may have come since the last time.

        Leaving early aborts the request. Raises what ended it when that was a failure.
        """
        seen = 0
        try:
            while True:
                await sequence.changed.wait()
                sequence.changed.clear()
                if sequence.failure is not None:
                    raise sequence.failure
                if sequence.emitted > seen or sequence.finished:
                    seen = sequence.emitted
                    yield Progress(seen, sequence.cached, sequence.finished)
                if sequence.finished:
                    return
        finally:
            if sequence.finished is None and sequence.failure is None:
                self.abort(sequence)

    def abort(self, sequence: Sequence) -> None:
        """Forget a request; its blocks are free at once."""
        self._end(sequence, "abort")
        self._publish()

    async def drained(self) -> None:
        """Return when nothing waits or runs."""
        await self._idle.wait()

    def kill(self) -> None:
        """End the engine at once: every request fails with `EngineDeadError`."""
        self.dead = True
        for sequence in [*self.waiting, *self.running]:
            sequence.failure = EngineDeadError()
            sequence.changed.set()
            self.pool.release(sequence.name)
        self.waiting.clear()
        self.running.clear()
        self._idle.set()
        self._publish()

    # -- the loop ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Step for ever; cancel to stop."""
        loop = asyncio.get_running_loop()
        clock = loop.time()
        while True:
            if self.frozen or not self.unfinished:
                self._work.clear()
                await self._work.wait()
                clock = loop.time()
                continue
            plan = self._schedule(loop.time())
            clock = max(clock + plan.seconds, loop.time() - 1.0)
            await asyncio.sleep(clock - loop.time())
            if not self.dead:
                self._apply(plan, loop.time())

    def thaw(self, *, frozen: bool) -> None:
        """Stop or resume stepping: a frozen engine takes requests and answers none."""
        self.frozen = frozen
        self._work.set()

    def _decode_seconds(self, batch: int) -> float:
        settings = self.config.settings
        return (1 + settings.batch_slowdown * max(0, batch - 1)) / settings.tokens_per_second

    def _schedule(self, now: float) -> "_Plan":
        budget = self.config.max_num_batched_tokens
        steps = max(1, int(_LEAST_TICK / self._decode_seconds(len(self.running))))
        decode: dict[Sequence, int] = {}
        prefill: dict[Sequence, int] = {}
        for sequence in list(self.running):
            if sequence not in self.running:
                continue  # preempted for one before it
            if sequence.prefilled:
                tokens = min(steps, sequence.left)
                if self._room(sequence, sequence.length + tokens):
                    decode[sequence] = tokens
                    budget -= 1
            elif budget > 0:
                prefill[sequence] = min(budget, sequence.to_prefill)
                budget -= prefill[sequence]
        while self.waiting and budget > 0 and len(self.running) < self.config.max_num_seqs:
            sequence = self.waiting[0]
            if not self.pool.grow(sequence.name, sequence.length):
                break
            self.waiting.popleft()
            self._admit(sequence, now)
            prefill[sequence] = min(budget, sequence.to_prefill)
            budget -= prefill[sequence]
        decode = {sequence: tokens for sequence, tokens in decode.items() if sequence in self.running}
        prefill = {sequence: tokens for sequence, tokens in prefill.items() if sequence in self.running}
        self._publish()
        longest = max(decode.values(), default=0)
        seconds = longest * self._decode_seconds(len(decode))
        seconds += sum(prefill.values()) / self.config.settings.prefill_tokens_per_second
        return _Plan(decode=decode, prefill=prefill, seconds=seconds)

    def _admit(self, sequence: Sequence, now: float) -> None:
        if sequence.scheduled is None:
            sequence.scheduled = now
            sequence.cached = self.pool.cached_tokens(sequence.prompt)
            sequence.computed = sequence.cached
            self.metrics.prefix_lookup(queried=len(sequence.prompt), hit=sequence.cached)
        self.running.append(sequence)

    def _room(self, sequence: Sequence, tokens: int) -> bool:
        """Make room by preempting the newest request, as vLLM does; False when `sequence` itself had to go."""
        while not self.pool.grow(sequence.name, tokens):
            victim = self.running.pop()
            self.pool.release(victim.name)
            victim.computed, victim.prefilled = 0, False
            victim.preemptions += 1
            self.metrics.preempted()
            self.waiting.appendleft(victim)
            if victim is sequence:
                return False
        return True

    def _apply(self, plan: "_Plan", now: float) -> None:
        for sequence, tokens in plan.prefill.items():
            if sequence.finished or sequence not in self.running:
                continue
            sequence.computed += tokens
            if not sequence.to_prefill:
                sequence.prefilled = True
                self.pool.remember(sequence.prompt)
                if sequence.preemptions == 0:
                    self.metrics.prefilled(len(sequence.prompt), cached=sequence.cached)
                self._emit(sequence, 1, now)
        for sequence, tokens in plan.decode.items():
            if not sequence.finished and sequence in self.running:
                self._emit(sequence, tokens, now)
        self.metrics.iteration(decode=list(plan.decode.values()), prefill=sum(plan.prefill.values()))
        self._publish()

    def _emit(self, sequence: Sequence, tokens: int, now: float) -> None:
        tokens = min(tokens, sequence.left)
        self.metrics.emitted(sequence, tokens, now)
        sequence.first_token = sequence.first_token or now
        sequence.last_token = now
        sequence.emitted += tokens
        sequence.changed.set()
        if not sequence.left:
            self._end(sequence, sequence.script.finish)

    def _end(self, sequence: Sequence, reason: FinishReason) -> None:
        if sequence.finished:
            return
        sequence.finished = reason
        if sequence in self.running:
            self.running.remove(sequence)
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        self.pool.release(sequence.name)
        if reason != "abort":  # vLLM keeps no statistics of requests whose client went away
            self.metrics.finished(sequence, asyncio.get_running_loop().time())
        sequence.changed.set()
        if not self.unfinished:
            self._idle.set()

    def _publish(self) -> None:
        self.metrics.state(running=len(self.running), waiting=len(self.waiting), usage=self.pool.usage)


@dataclass(frozen=True, slots=True)
class _Plan:
    decode: dict[Sequence, int]
    prefill: dict[Sequence, int]
    seconds: float
