"""Runs in a pod of the cluster: streaming chats at a steady rate, each checked to its end.

Arguments: URL, model, requests per second, tokens per answer, how many requests (0: until SIGTERM); the key is in the
environment. After SIGTERM it sends no more and ends when all streams have ended; its last line is a JSON object with
what came of them, and when those began that were not completed (seconds since the epoch).
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter

import aiohttp

SILENCE_SECONDS = 90
"""After so long without a byte a stream counts as failed; the router breaks a dead one off after 40 s."""


async def chat(session: aiohttp.ClientSession, url: str, model: str, tokens: int) -> str:
    """What came of one stream: completed, refused (a whole answer that is no stream), failed or truncated."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Tell me a story."}],
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }
    finish, used, done = None, 0, False
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            if response.status != 200:
                return f"refused {response.status}: {(await response.text())[:200]}"
            async for line in response.content:
                if not line.startswith(b"data: "):
                    continue
                data = line.removeprefix(b"data: ").strip()
                if data == b"[DONE]":
                    done = True
                    break
                part = json.loads(data)
                if "error" in part:
                    return f"failed: {str(part['error'])[:200]}"
                used = (part.get("usage") or {}).get("completion_tokens", used)
                for choice in part.get("choices") or ():
                    finish = choice.get("finish_reason") or finish
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return f"failed: {type(error).__name__}: {error}"
    return "completed" if done and finish == "length" and used == tokens else f"truncated: {finish} after {used} tokens"


async def main(url: str, model: str, rate: float, tokens: int, count: int) -> None:
    """Send at the rate, so many or until told to stop; then wait for what runs."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    results: Counter[str] = Counter()
    lost: list[float] = []
    running: set[asyncio.Task[None]] = set()
    timeout = aiohttp.ClientTimeout(total=600, sock_read=SILENCE_SECONDS)
    # A connection for each request, as many clients would have.
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    headers = {"Authorization": f"Bearer {os.environ['KEY']}"}
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, headers=headers) as session:

        async def one() -> None:
            began = time.time()
            result = await chat(session, url, model, tokens)
            results[result] += 1
            if result != "completed":
                lost.append(began)

        sent = 0
        while not stop.is_set() and (not count or sent < count):
            sent += 1
            task = asyncio.create_task(one())
            running.add(task)
            task.add_done_callback(running.discard)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1 / rate)
        await asyncio.gather(*running)
    print(json.dumps({"sent": results.total(), "results": results, "lost": sorted(lost)}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])))
