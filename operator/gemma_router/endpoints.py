"""EndpointSlices and routes → the endpoints that may get requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .routes import Route

DEPLOYMENT_LABEL = "gemma4stack.dev/deployment"
ROUTER_LABEL = "gemma4stack.dev/router"
PORT_NAME = "http"

Slice = Mapping[str, Any]


def deployment_of(member_id: str) -> str:
    """Return the deployment of a member by its id."""
    return member_id.partition("@")[0]


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One endpoint of one deployment. `pod` is the uid behind the address: addresses are used again."""

    deployment: str
    address: str
    port: int
    pod: str = ""

    @property
    def host(self) -> str:
        """`IP:PORT`, with brackets around IPv6."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"

    @property
    def id(self) -> str:
        """`DEPLOYMENT@IP:PORT`: stable while the endpoint lives, and what `x-litellm-model-id` shows."""
        return f"{self.deployment}@{self.host}"

    @property
    def url(self) -> str:
        """`http://IP:PORT`, without a path."""
        return f"http://{self.host}"


def desired_members(slices: Iterable[Slice], routes: Iterable[Route]) -> dict[str, Member]:
    """Return id → member for every endpoint that is ready and not terminating, of deployments that have a route.

    A Service has several slices above 100 endpoints, one set per address family, and for a moment the same endpoint
    in two slices. One family is used (IPv4 where there is one, as each pod would be counted twice otherwise), and an
    endpoint that terminates in any slice is out. A missing `ready` means ready (EndpointSlice API, v1).
    """
    names = {route.name for route in routes}
    by_deployment: dict[str, list[Slice]] = {}
    for item in slices:
        deployment = (item.get("metadata", {}).get("labels") or {}).get(DEPLOYMENT_LABEL)
        if deployment in names:
            by_deployment.setdefault(deployment, []).append(item)
    members: dict[str, Member] = {}
    for deployment, items in sorted(by_deployment.items()):
        members.update(_members(deployment, _one_family(items)))
    return members


def router_pods(slices: Iterable[Slice]) -> int:
    """Return how many pods of this router get requests, at least one: its own Service has its label too."""
    own = [item for item in slices if DEPLOYMENT_LABEL not in (item.get("metadata", {}).get("labels") or {})]
    return max(1, len(_members("", _one_family(own))))


def _members(deployment: str, slices: list[Slice]) -> dict[str, Member]:
    ready: dict[str, Member] = {}
    leaving: set[str] = set()
    for item in slices:
        port = _port(item.get("ports") or [])
        if port is None:
            continue
        for endpoint in item.get("endpoints") or []:
            addresses = endpoint.get("addresses") or []
            if not addresses:
                continue
            pod = (endpoint.get("targetRef") or {}).get("uid") or ""
            member = Member(deployment=deployment, address=addresses[0], port=port, pod=pod)
            conditions = endpoint.get("conditions") or {}
            if conditions.get("terminating"):
                leaving.add(member.pod or member.id)
            elif conditions.get("ready") is not False:
                ready[member.id] = max(member, ready.get(member.id, member))
    return {id_: member for id_, member in ready.items() if (member.pod or id_) not in leaving}


def _one_family(slices: list[Slice]) -> list[Slice]:
    for family in ("IPv4", "IPv6"):
        chosen = [item for item in slices if item.get("addressType", "IPv4") == family]
        if any(item.get("endpoints") for item in chosen):
            return chosen
    return []


def _port(ports: list[Mapping[str, Any]]) -> int | None:
    """The port named `http`, or the only one; a slice without endpoints has `ports: null`, an open slice no number."""
    named = [port for port in ports if port.get("name") == PORT_NAME]
    number = (named or (ports if len(ports) == 1 else [{}]))[0].get("port")
    return number if isinstance(number, int) else None
