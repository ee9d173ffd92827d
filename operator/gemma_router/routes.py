"""The deployments of this router: the parsed `routes.json` that the operator writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass


class RoutesInvalid(ValueError):
    """`routes.json` cannot be used; the message names the entry and the field."""


@dataclass(frozen=True, slots=True)
class Route:
    """One deployment: its public name, its other names, and what a listing tells about it."""

    name: str
    aliases: tuple[str, ...] = ()
    max_num_seqs: int | None = None
    context_tokens: int | None = None
    fallbacks: tuple[str, ...] = ()
    hold_seconds: float | None = None
    """How long a request may wait in the router for an endpoint."""
    startup_seconds: float | None = None
    """How long an endpoint takes to start, as expected or measured."""
    switched_off: bool = False
    """Whether nobody starts an endpoint for a request, so that none waits for one."""


def parse_routes(text: str) -> tuple[Route, ...]:
    """Return the routes of `{"deployments": [{"name": …, "aliases": […], …}]}`, sorted by name.

    Unknown fields are ignored, so that a newer operator does not stop an older router.
    Raises `RoutesInvalid`.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RoutesInvalid(f"routes.json is not JSON: {error}") from error
    if not isinstance(document, Mapping) or not isinstance(document.get("deployments"), list):
        raise RoutesInvalid('routes.json must be {"deployments": [...]}')
    routes = [_route(entry, where=f"deployments[{index}]") for index, entry in enumerate(document["deployments"])]
    seen: set[str] = set()
    for route in routes:
        if route.name in seen:
            raise RoutesInvalid(f"deployment {route.name!r} appears twice in routes.json")
        seen.add(route.name)
    return tuple(sorted(routes, key=lambda route: route.name))


def aliases(routes: tuple[Route, ...]) -> dict[str, str]:
    """Return alias → deployment. A deployment's own name beats an alias; of two equal aliases the first name wins."""
    names = {route.name for route in routes}
    found: dict[str, str] = {}
    for route in routes:
        for alias in route.aliases:
            if alias not in names:
                found.setdefault(alias, route.name)
    return found


def fallbacks(routes: tuple[Route, ...]) -> list[dict[str, list[str]]]:
    """Return LiteLLM's `fallbacks` setting; targets that this router does not have are left out."""
    names = {route.name for route in routes}
    return [
        {route.name: targets}
        for route in routes
        if (targets := [name for name in route.fallbacks if name in names and name != route.name])
    ]


def _route(entry: object, *, where: str) -> Route:
    if not isinstance(entry, Mapping):
        raise RoutesInvalid(f"{where} must be an object")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise RoutesInvalid(f"{where}.name must be a text that is not empty")
    return Route(
        name=name,
        aliases=_texts(entry, "aliases", where=where),
        max_num_seqs=_number(entry, "maxNumSeqs", where=where),
        context_tokens=_number(entry, "contextTokens", where=where),
        fallbacks=_texts(entry, "fallbacks", where=where),
        hold_seconds=_seconds(entry, "holdTimeoutSeconds", where=where),
        startup_seconds=_seconds(entry, "startupSeconds", where=where),
        switched_off=_flag(entry, "switchedOff", where=where),
    )


def _texts(entry: Mapping[str, object], field: str, *, where: str) -> tuple[str, ...]:
    value = entry.get(field) or []
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise RoutesInvalid(f"{where}.{field} must be a list of texts")
    return tuple(value)


def _number(entry: Mapping[str, object], field: str, *, where: str) -> int | None:
    value = entry.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise RoutesInvalid(f"{where}.{field} must be a whole number above 0")
    return value


def _flag(entry: Mapping[str, object], field: str, *, where: str) -> bool:
    value = entry.get(field)
    if value is not None and not isinstance(value, bool):
        raise RoutesInvalid(f"{where}.{field} must be true or false")
    return bool(value)


def _seconds(entry: Mapping[str, object], field: str, *, where: str) -> float | None:
    value = entry.get(field)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise RoutesInvalid(f"{where}.{field} must be a number of seconds, 0 or more")
    return float(value)
