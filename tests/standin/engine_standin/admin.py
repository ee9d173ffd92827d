"""Changes the mood of a running stand-in: off unless STANDIN_ADMIN=1, and no part of vLLM."""

import json

from aiohttp import web

from engine_standin.bodies import json_answer
from engine_standin.frontend import FRONTEND, Frontend
from engine_standin.moods import Moods, parse_moods
from engine_standin.settings import SettingError


def apply(frontend: Frontend, moods: Moods) -> None:
    """Put `moods` in force; one that kills the engine cannot be taken back."""
    frontend.moods = moods
    frontend.engine.thaw(frozen=moods.has("hang"))
    if moods.has("dead") and not frontend.engine.dead:
        frontend.engine.kill()


async def put_mood(request: web.Request) -> web.Response:
    """`PUT /standin/mood` with `{"mood": "hang"}`; an empty mood is the good one."""
    try:
        body = json.loads(await request.read())
        apply(request.app[FRONTEND], parse_moods(str(body["mood"])))
    except (ValueError, KeyError, TypeError, SettingError) as error:
        return json_answer({"error": str(error)}, status=400)
    return json_answer({"mood": body["mood"]})


async def get_state(request: web.Request) -> web.Response:
    """`GET /standin/state`: what waits and runs, and how full the KV cache is."""
    engine = request.app[FRONTEND].engine
    return json_answer(
        {
            "running": len(engine.running),
            "waiting": len(engine.waiting),
            "kvBlocksUsed": engine.pool.total - engine.pool.free,
            "kvBlocks": engine.pool.total,
            "dead": engine.dead,
        }
    )


def routes() -> list[web.RouteDef]:
    """Return the routes of the admin endpoint."""
    return [web.put("/standin/mood", put_mood), web.get("/standin/state", get_state)]
