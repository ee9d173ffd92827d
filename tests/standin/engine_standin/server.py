"""The HTTP application: routes, the API key, errors, access log and metrics around every request."""

import hmac
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from engine_standin import VERSION, admin, models_api
from engine_standin.bodies import json_answer
from engine_standin.chat import chat_completions
from engine_standin.completions import completions
from engine_standin.config import EngineConfig
from engine_standin.engine import Engine
from engine_standin.errors import ApiError, server_error
from engine_standin.frontend import FRONTEND, Frontend
from engine_standin.http_metrics import HttpMetrics
from engine_standin.logs import EngineLog
from engine_standin.metrics import EngineMetrics
from engine_standin.moods import DropConnection, Moods
from engine_standin.tokens import Tokenizer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_GUARDED = ("/v1", "/v2", "/inference", "/cohere")
_COMPLETIONS = frozenset({"/v1/chat/completions", "/v1/completions"})


def make_frontend(config: EngineConfig, *, moods: Moods, log: EngineLog) -> Frontend:
    """Return the engine and everything around it; nothing runs yet."""
    registry = CollectorRegistry()
    GCCollector(registry=registry)
    PlatformCollector(registry=registry)
    ProcessCollector(registry=registry)
    engine = Engine(config, EngineMetrics(config, registry))
    frontend = Frontend(
        config=config,
        engine=engine,
        registry=registry,
        http=HttpMetrics(registry),
        moods=moods,
        log=log,
        tokenizer=Tokenizer(token_chars=config.profile.token_chars),
    )
    admin.apply(frontend, moods)
    return frontend


def make_app(frontend: Frontend) -> web.Application:
    """Return the application that serves `frontend`."""
    app = web.Application(middlewares=[_observed, _guarded, _explained], client_max_size=1 << 30)
    app[FRONTEND] = frontend
    app.on_response_prepare.append(_named)
    app.add_routes(
        [
            web.get("/health", health, allow_head=False),
            web.get("/ping", health, allow_head=False),
            web.post("/ping", health),
            web.get("/load", load, allow_head=False),
            web.get("/version", version, allow_head=False),
            web.get("/metrics", metrics, allow_head=False),
            web.get("/metrics/", metrics, allow_head=False),
            web.get("/v1/models", models_api.models, allow_head=False),
            web.post("/v1/chat/completions", chat_completions),
            web.post("/v1/completions", completions),
            web.post("/tokenize", models_api.tokenize),
            web.post("/detokenize", models_api.detokenize),
        ]
    )
    if frontend.config.settings.admin:
        app.add_routes(admin.routes())
    return app


async def health(request: web.Request) -> web.Response:
    """Answer 200 while the engine lives, also while it drains or hangs; 503 when it is dead."""
    return web.Response(status=503 if request.app[FRONTEND].engine.dead else 200)


async def load(request: web.Request) -> web.Response:
    """Answer how many requests are in work, if --enable-server-load-tracking asked to count."""
    return json_answer({"server_load": request.app[FRONTEND].load})


async def version(request: web.Request) -> web.Response:
    """Answer the version of vLLM that is played."""
    return json_answer({"version": VERSION})


async def metrics(request: web.Request) -> web.Response:
    """Answer the metrics in the format that the client accepts."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    body = encode(request.app[FRONTEND].registry)
    return web.Response(body=body, headers={"Content-Type": content_type})


async def _named(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "uvicorn"


def _handler_name(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


@web.middleware
async def _observed(request: web.Request, handler: Handler) -> web.StreamResponse:
    frontend = request.app[FRONTEND]
    args = frontend.config.args
    tracked = args.enable_server_load_tracking and request.path in _COMPLETIONS
    begun = time.monotonic()
    frontend.load += tracked
    try:
        response = await handler(request)
    finally:
        frontend.load -= tracked
    size = response.content_length or 0
    frontend.http.observe(
        handler=_handler_name(request),
        method=request.method,
        status=response.status,
        seconds=time.monotonic() - begun,
        size_in=request.content_length or 0,
        size_out=size,
    )
    quiet = [path.strip() for path in (args.disable_access_log_for_endpoints or "").split(",")]
    if not args.disable_uvicorn_access_log and request.path not in quiet:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        where = f"{peer[0]}:{peer[1]}" if peer else "-"
        reason = response.reason or ""
        frontend.log.bare(
            f'INFO:     {where} - "{request.method} {request.path_qs} HTTP/1.1" {response.status} {reason}'
        )
    return response


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    keys = request.app[FRONTEND].config.api_keys
    if keys and request.method != "OPTIONS" and request.path.startswith(_GUARDED):
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        matches = [hmac.compare_digest(given.encode(), key.encode()) for key in keys]
        if scheme.lower() != "bearer" or not any(matches):
            return json_answer({"error": "Unauthorized"}, status=401)
    return await handler(request)


@web.middleware
async def _explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    frontend = request.app[FRONTEND]
    try:
        if request.path in _COMPLETIONS:
            frontend.moods.before_request()
        return await handler(request)
    except ApiError as error:
        return json_answer(error.body(), status=error.status)
    except DropConnection:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)
    except web.HTTPException as error:
        answer = json_answer({"detail": error.reason}, status=error.status)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except (ConnectionError, TimeoutError):
        raise
    except Exception as error:
        frontend.log.line("server.py:1", f"{type(error).__name__}: {error}", level="ERROR")
        return json_answer(server_error(str(error)).body(), status=500)
