"""One request inside the engine, and the record of its times."""

import asyncio
from dataclasses import dataclass, field

from engine_standin.script import FinishReason, Script


@dataclass(slots=True, eq=False)
class Siblings:
    """The `n` answers to one request: how many are unfinished, and the tokens of the longest."""

    n: int
    left: int
    longest: int = 0


@dataclass(slots=True, eq=False)
class Sequence:
    """State of one request. `computed` counts tokens whose KV is in the cache; times are monotonic seconds."""

    name: str
    prompt: tuple[int, ...]
    script: Script
    max_tokens: int
    siblings: Siblings
    arrived: float
    emitted: int = 0
    computed: int = 0
    cached: int = 0
    prefilled: bool = False
    preemptions: int = 0
    scheduled: float | None = None
    first_token: float | None = None
    last_token: float | None = None
    finished: FinishReason | None = None
    failure: Exception | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def length(self) -> int:
        """Return prompt and output tokens so far."""
        return len(self.prompt) + self.emitted

    @property
    def to_prefill(self) -> int:
        """Return tokens to compute before the next one can be sampled; more than the prompt after preemption."""
        return 0 if self.prefilled else self.length - self.computed

    @property
    def left(self) -> int:
        """Return output tokens that are still to come."""
        return len(self.script.tokens) - self.emitted
