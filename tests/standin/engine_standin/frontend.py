"""What every endpoint needs: the engine behind it, the state of the server, and the checks before a request."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CollectorRegistry

from engine_standin.config import EngineConfig
from engine_standin.engine import Engine, Progress
from engine_standin.errors import (
    AFTER_SHUTDOWN,
    ENGINE_DEAD,
    PREFILL_BACKLOG,
    QUEUE_FULL,
    ApiError,
    EngineDeadError,
    server_error,
)
from engine_standin.http_metrics import HttpMetrics
from engine_standin.logs import EngineLog
from engine_standin.moods import Moods
from engine_standin.script import Script
from engine_standin.sequences import Sequence, Siblings
from engine_standin.tokens import Tokenizer


@dataclass(slots=True)
class Frontend:
    """The API server's view of the engine. `closed` is set when the process was told to stop."""

    config: EngineConfig
    engine: Engine
    registry: CollectorRegistry
    http: HttpMetrics
    moods: Moods
    log: EngineLog
    tokenizer: Tokenizer
    closed: bool = False
    load: int = 0
    started: int = field(default_factory=lambda: int(time.time()))

    def check_model(self, name: str | None) -> None:
        """Refuse a model that is not served; no name means the one that is."""
        if name and name not in self.config.served_names:
            served = ", ".join(self.config.served_names)
            raise ApiError(
                f"The model `{name}` does not exist. Valid aliases: {served}.",
                status=404,
                kind="NotFoundError",
                param="model",
            )

    def admit(self, *, n: int = 1) -> None:
        """Refuse when the engine is dead or its queue limits are reached."""
        if self.engine.dead:
            raise server_error(ENGINE_DEAD)
        args = self.config.args
        if args.max_num_queued_reqs is not None and self.engine.unfinished + n > args.max_num_queued_reqs:
            self.engine.metrics.rejected("max_num_queued_reqs")
            raise ApiError(QUEUE_FULL, status=503, kind="Service Unavailable")
        if args.max_num_queued_tokens is not None and (self.engine.queued_tokens >= args.max_num_queued_tokens):
            self.engine.metrics.rejected("max_num_queued_tokens")
            raise ApiError(PREFILL_BACKLOG, status=503, kind="Service Unavailable")

    def check_open(self) -> None:
        """Fail like vLLM's tokenizer threads once the server was told to stop."""
        if self.closed:
            raise server_error(AFTER_SHUTDOWN)

    def request_id(self, request: web.Request, given: str | None, *, prefix: str) -> str:
        """Return the id of a request: the client's header or field, else a random one."""
        name = request.headers.get("X-Request-Id") or given or f"{uuid.uuid4().int & (1 << 64) - 1:016x}"
        return f"{prefix}-{name}"

    def start(self, prompt: list[int], scripts: list[Script], *, max_tokens: int) -> list[Sequence]:
        """Queue one engine request per answer."""
        siblings = Siblings(n=len(scripts), left=len(scripts))
        return [self.engine.submit(prompt, script, max_tokens=max_tokens, siblings=siblings) for script in scripts]

    async def finish(self, sequences: list[Sequence]) -> list[Progress]:
        """Wait for the ends of `sequences`. Raises a 500 when the engine dies."""
        try:
            return await asyncio.gather(*(self._last(sequence) for sequence in sequences))
        except EngineDeadError as error:
            raise server_error(str(error)) from error
        finally:
            for sequence in sequences:
                if sequence.finished is None and sequence.failure is None:
                    self.engine.abort(sequence)

    async def _last(self, sequence: Sequence) -> Progress:
        last = Progress(0, 0, None)
        async with aclosing(self.engine.follow(sequence)) as following:
            async for progress in following:
                last = progress
        return last

    async def merged(self, sequences: list[Sequence]) -> AsyncGenerator[tuple[int, Progress], None]:
        """Yield the progress of several sequences as it comes, each with the index of its sequence."""
        queue: asyncio.Queue[tuple[int, Progress | BaseException | None]] = asyncio.Queue()

        async def pump(index: int, sequence: Sequence) -> None:
            try:
                async with aclosing(self.engine.follow(sequence)) as following:
                    async for progress in following:
                        queue.put_nowait((index, progress))
                queue.put_nowait((index, None))
            except EngineDeadError as error:
                queue.put_nowait((index, error))

        tasks = [asyncio.create_task(pump(index, one)) for index, one in enumerate(sequences)]
        try:
            open_ones = len(tasks)
            while open_ones:
                index, item = await queue.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    open_ones -= 1
                else:
                    yield index, item
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


FRONTEND = web.AppKey("frontend", Frontend)
