"""JSON in and out: request bodies checked as vLLM checks them, answers written as its framework does."""

import json
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from engine_standin.errors import ApiError
from engine_standin.requests import malformed

Body = TypeVar("Body", bound=BaseModel)


async def read(request: web.Request, model: type[Body]) -> Body:
    """Return the checked body. Raises the 400 that vLLM answers otherwise."""
    if request.content_type.lower() != "application/json":
        raise ApiError(
            "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
            kind="Bad Request",
        )
    text = await request.read()
    try:
        data = json.loads(text)
    except ValueError as error:
        position = getattr(error, "pos", 0)
        fault = {
            "type": "json_invalid",
            "loc": f"body.{position}",
            "msg": "JSON decode error",
            "input": "<dict of 0 items>",
            "ctx": {"error": getattr(error, "msg", str(error))},
        }
        raise ApiError(f"1 validation error:\n  {fault}", kind="Bad Request", param=f"body.{position}") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise malformed(error) from error


def json_answer(data: Any, *, status: int = 200) -> web.Response:
    """Return a JSON response: compact, and without a charset in its content type."""
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, content_type="application/json")
