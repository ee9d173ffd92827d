"""The life of the process: log lines of the start, serving, and the way out at SIGTERM."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from types import FrameType

from aiohttp import web

from engine_standin import VERSION
from engine_standin.config import EngineConfig
from engine_standin.death import die_after, watch
from engine_standin.flags import not_default
from engine_standin.frontend import Frontend
from engine_standin.logs import ENGINE, EngineLog
from engine_standin.moods import Moods
from engine_standin.server import make_app, make_frontend

_KEEP_ALIVE_SECONDS = 5.0
_STATS_SECONDS = 10.0


def interrupt_start(_number: int, _frame: FrameType | None) -> None:
    """Stop a start that is under way, as vLLM does before its server runs."""
    raise KeyboardInterrupt("terminated")


def announce(config: EngineConfig, log: EngineLog) -> None:
    """Print what vLLM prints before it loads the weights."""
    log.line("api_utils.py:339", f"vLLM server version {VERSION}, serving model {config.model}")
    log.line("api_utils.py:283", f"non-default args: {not_default(config.args)}")
    log.line("model.py:733", f"Resolved architecture: {config.profile.architecture}")
    log.line("model.py:2152", f"Using max model len {config.max_model_len}")
    log.line(
        "scheduler.py:307",
        f"Chunked prefill is enabled with max_num_batched_tokens={config.max_num_batched_tokens}.",
    )


def start_up(config: EngineConfig, moods: Moods, log: EngineLog) -> None:
    """Take as long as the settings say, and say so in vLLM's words."""
    seconds = config.settings.startup_seconds + moods.slow_start
    cache_gib = config.kv_tokens * config.profile.kv_bytes_per_token / (1 << 30)
    name = f"Initializing a V1 LLM engine (v{VERSION}) with config: model='{config.model}', "
    log.line("core.py:133", f"{name}max_seq_len={config.max_model_len}", process=ENGINE)
    log.line("gpu_model_runner.py:5039", f"Starting to load model {config.model}...", process=ENGINE)
    time.sleep(seconds * 0.6)
    log.line("default_loader.py:501", f"Loading weights took {seconds * 0.6:.2f} seconds", process=ENGINE)
    log.line(
        "gpu_model_runner.py:5149",
        f"Model loading took 0.0 GiB memory and {seconds * 0.6:.6f} seconds",
        process=ENGINE,
    )
    time.sleep(seconds * 0.4)
    log.line("gpu_worker.py:759", f"Available KV cache memory: {cache_gib:.2f} GiB", process=ENGINE)
    log.line(
        "kv_cache_utils.py:2327",
        f"GPU KV cache size: {config.kv_tokens:,} tokens, Maximum concurrency for {config.max_model_len:,} "
        f"tokens per request: {config.kv_tokens / config.max_model_len:.2f}x",
        process=ENGINE,
    )
    log.line(
        "core.py:402",
        f"init engine (profile, create kv cache, warmup model) took {seconds * 0.4:.2f} s",
        process=ENGINE,
    )
    while moods.has("never-ready"):
        time.sleep(1)


class Stopper:
    """Waits for SIGTERM or SIGINT and brings the server down as vLLM does; further signals are ignored."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self.asked = asyncio.Event()

    def install(self) -> None:
        """Take over the signals from the start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ask)

    def _ask(self) -> None:
        if not self.asked.is_set():
            self.frontend.log.line("launcher.py:254", "[shutdown] API server: shutdown triggered")
            self.asked.set()

    def _say(self, timeout: float) -> None:
        log, mode = self.frontend.log, "drain" if timeout > 0 else "abort"
        log.line(
            "launcher.py:270",
            f"[shutdown] API server: stopping engine client mode={mode} timeout={timeout:g}s",
        )
        log.line("core_client.py:770", f"[shutdown] MPClient: start timeout={timeout:g}s")
        log.line("utils.py:628", "[shutdown] Process manager: send sigterm to process EngineCore")
        log.line("core.py:1454", "[shutdown] EngineCore: trigger received signal=SIGTERM", process=ENGINE)
        log.line("core.py:1635", f"[shutdown] EngineCore: start mode={mode} timeout={timeout:.0f}s", process=ENGINE)
        if (count := self.frontend.engine.unfinished) and mode == "drain":
            text = f"draining in-flight requests count={count} timeout={timeout:.0f}s"
            log.line("core.py:1655", f"[shutdown] EngineCore: {text}", process=ENGINE)

    async def stop(self, runner: web.AppRunner) -> None:
        """Drain or abort what is in flight, and return when the HTTP server is to close.

        What is left after the timeout ends with an error; in the mood `hang-at-shutdown` it falls silent and
        the process stays until the clients give up, as vLLM 0.32 does now and then.
        """
        log, engine = self.frontend.log, self.frontend.engine
        timeout = self.frontend.config.shutdown_timeout
        self.frontend.closed = True
        if engine.dead:
            log.bare("INFO:     Shutting down")
            return
        self._say(timeout)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(engine.drained(), timeout)
        if engine.unfinished:
            killing = "[shutdown] Process manager: force killing remaining processes count=1"
            log.line("utils.py:648", killing, level="WARNING")
            if self.frontend.moods.has("hang-at-shutdown"):
                engine.thaw(frozen=True)
                await _close_idle(runner)
                await engine.drained()
        engine.kill()
        log.line("launcher.py:279", "[shutdown] API server: engine client stopped")
        log.line("launcher.py:282", "[shutdown] API server: signalling HTTP server shutdown")


async def _close_idle(runner: web.AppRunner) -> None:
    """Close the port and connections without a request; those with one stay open."""
    for site in list(runner.sites):
        await site.stop()
    if runner.server is not None:
        runner.server.pre_shutdown()


async def _stop_when_dead(frontend: Frontend, stopper: Stopper) -> None:
    await watch(frontend)
    stopper.asked.set()


async def _statistics(frontend: Frontend) -> None:
    """Print vLLM's line of statistics every ten seconds while there is something to tell."""
    engine = frontend.engine
    while True:
        await asyncio.sleep(_STATS_SECONDS)
        if engine.unfinished:
            frontend.log.line(
                "loggers.py:327",
                f"Engine 000: Running: {len(engine.running)} reqs, Waiting: {len(engine.waiting)} reqs, "
                f"GPU KV cache usage: {engine.pool.usage * 100:.1f}%",
            )


async def serve(config: EngineConfig, *, moods: Moods, log: EngineLog) -> None:
    """Serve until a signal says stop; returns when the last answer is out."""
    frontend = make_frontend(config, moods=moods, log=log)
    app = make_app(frontend)
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        access_log=None,
        shutdown_timeout=max(10.0, config.shutdown_timeout),
    )
    await runner.setup()
    stopper = Stopper(frontend)
    stopper.install()
    tasks = [
        asyncio.create_task(work)
        for work in (
            frontend.engine.run(),
            _statistics(frontend),
            die_after(frontend, moods.die_after),
            _stop_when_dead(frontend, stopper),
        )
    ]
    log.line("entry.py:112", f"Starting vLLM server on http://{config.host or '0.0.0.0'}:{config.port}")
    site = web.TCPSite(runner, config.host or None, config.port, backlog=2048, reuse_address=True)
    try:
        await site.start()
        log.bare(f"INFO:     Started server process [{os.getpid()}]")
        log.bare("INFO:     Application startup complete.")
        await stopper.asked.wait()
        await stopper.stop(runner)
    finally:
        await runner.cleanup()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
    log.line("launcher.py:304", "[shutdown] API server: shutting down FastAPI HTTP server")


def check_port(config: EngineConfig) -> None:
    """Fail early when the port is taken: vLLM binds it before it loads anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((config.host or "0.0.0.0", config.port))
