"""What the renderer is told about the world: who owns the objects, what the router serves, its keys."""

from dataclasses import dataclass
from typing import Any, Literal

from gemma_operator.api import names

Object = dict[str, Any]
Strategy = Literal["surge", "inPlace"]
"""How a pool is rolled: a new replica first (needs spare GPUs), or the old one stops first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentIdentity:
    """A GemmaDeployment as the owner of objects."""

    name: str
    namespace: str
    uid: str
    api_version: str = names.API_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a router needs to know about one GemmaDeployment."""

    name: str
    aliases: tuple[str, ...] = ()
    max_num_seqs: int
    """Requests that every replica runs at once."""
    context_tokens: int
    fallbacks: tuple[str, ...] = ()
    hold_seconds: int = 600
    """How long a request may wait in the router."""
    startup_seconds: int | None = None
    """How long a replica usually takes to start, where that was measured."""
    switched_off: bool = False
    """Whether its spec fixes it at 0 replicas, so that no request wakes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterKeys:
    """Random material of a new router, made by the caller. Never logged: `repr` shows none of it."""

    master: str
    """Starts with `sk-`: LiteLLM refuses to start otherwise."""
    engine: str
    client: str

    def __repr__(self) -> str:
        return "RouterKeys(…)"
