"""Server-sent events as vLLM sends them: chunks, keep-alive comments, error events and the final [DONE]."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import web

from engine_standin.errors import ApiError, EngineDeadError, server_error
from engine_standin.moods import Moods


async def stream(
    request: web.Request, events: AsyncGenerator[dict[str, Any], None], *, moods: Moods, keep_alive: float
) -> web.StreamResponse:
    """Send `events`; a failure becomes an error event, and [DONE] comes last in every case.

    `keep_alive` is the longest silence in seconds before a comment is sent, 0 for none.
    """
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    sent = 0
    try:
        async with contextlib.aclosing(events), contextlib.aclosing(_with_silences(events, keep_alive)) as all_of:
            async for event in all_of:
                if event is None:
                    await response.write(b": keep-alive\n\n")
                    continue
                await response.write(encode(event))
                sent += 1
                moods.after_chunk(request, sent)
    except EngineDeadError as error:
        await response.write(encode(server_error(str(error)).body()))
    except ApiError as error:
        await response.write(encode(error.body()))
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def encode(event: dict[str, Any]) -> bytes:
    """Return one event as bytes."""
    return f"data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


async def _with_silences(
    events: AsyncGenerator[dict[str, Any], None], keep_alive: float
) -> AsyncGenerator[dict[str, Any] | None, None]:
    """Yield the events, and None whenever `keep_alive` seconds passed without one."""
    if keep_alive <= 0:
        async for event in events:
            yield event
        return
    following = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=keep_alive)
            if not done:
                yield None
                continue
            try:
                event = following.result()
            except StopAsyncIteration:
                return
            yield event
            following = asyncio.ensure_future(anext(events))
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
            await following
