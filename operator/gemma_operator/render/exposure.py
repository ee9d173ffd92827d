"""How a router is reached from outside of the cluster: an Ingress, an HTTPRoute, or both.

Each is owned by a small ConfigMap, its anchor, which the GemmaDeployments of the router own. Where it is no longer
configured the operator has no right to touch it any more; it deletes the anchor, and garbage collection the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.exposure import HttpRouteSettings, IngressSettings, ParentRef
from gemma_operator.render import names as objects
from gemma_operator.render.environment import config_map, render
from gemma_operator.render.manifests import stamped
from gemma_operator.render.types import Object

ANCHORS: Final = ("ingress", "httproute")
"""Suffixes of the names of anchors."""
HOSTS_KEY: Final = "hosts"
_NGINX_LARGEST: Final = "64m"
"""Of a request: a dozen photographs in base64. By default 1m, which is less than one."""
_ALB_LONGEST: Final = 4000
"""Seconds; what an Application Load Balancer takes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One way into a router."""

    anchor: str
    """Name of the ConfigMap that owns it."""
    hosts: tuple[str, ...]
    url: str
    """Base URL for OpenAI clients."""
    settings: IngressSettings | HttpRouteSettings


def anchor_name(router: str, kind: str) -> str:
    """Name of the anchor of a kind of `ANCHORS`."""
    return f"{router}-{kind}"


def exposures(*, config: OperatorConfig, namespace: str, router: str) -> list[Exposure]:
    """The configured ways into a router."""
    found = []
    for kind, settings in zip(ANCHORS, (config.router.ingress, config.router.http_route), strict=True):
        if settings is None:
            continue
        hosts = tuple(_filled(host, namespace=namespace, router=router) for host in settings.hosts)
        scheme = "http" if isinstance(settings, IngressSettings) and not settings.tls else "https"
        url = f"{scheme}://{hosts[0]}/v1"
        found.append(Exposure(anchor=anchor_name(router, kind), hosts=hosts, url=url, settings=settings))
    return found


def external_url(*, config: OperatorConfig, namespace: str, router: str) -> str | None:
    """Base URL of a router for clients outside of the cluster, where there is one."""
    found = exposures(config=config, namespace=namespace, router=router)
    return found[0].url if found else None


def anchors(*, config: OperatorConfig, namespace: str, router: str, common: Mapping[str, Any]) -> list[Object]:
    """The ConfigMaps that own what exposes a router."""
    return [
        config_map(each.anchor, {HOSTS_KEY: "\n".join(each.hosts)}, **common)
        for each in exposures(config=config, namespace=namespace, router=router)
    ]


def render_exposure(exposure: Exposure, *, namespace: str, router: str, anchor_uid: str) -> Object:
    """The Ingress or the HTTPRoute; `anchor_uid` is that of its anchor."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": exposure.anchor, "uid": anchor_uid}
    settings = exposure.settings
    common = {
        "name": router,
        "namespace": namespace,
        "labels": objects.router_labels(router),
        "owners": [owner],
        "hosts": list(exposure.hosts),
        "paths": settings.paths,
        "service": router,
        "port": names.ROUTER_SERVICE_PORT,
    }
    if isinstance(settings, IngressSettings):
        secret = settings.tls_secret and _filled(settings.tls_secret, namespace=namespace, router=router)
        manifest = render(
            "ingress",
            **common,
            annotations={**_streaming(settings), **settings.annotations},
            class_name=settings.class_name,
            tls=settings.tls,
            tls_secret=secret,
        )
    else:
        manifest = render(
            "http-route",
            **common,
            annotations=settings.annotations,
            parents=[_parent(each) for each in settings.parent_refs],
            timeout=settings.timeout_seconds and f"{settings.timeout_seconds}s",
        )
    return stamped(manifest)


def _filled(template: str, *, namespace: str, router: str) -> str:
    return template.replace("{router}", router).replace("{namespace}", namespace)


def _parent(reference: ParentRef) -> Object:
    """With what the API server would fill in: the list is one value, and would differ from it for ever."""
    return {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        **reference.model_dump(by_alias=True, exclude_none=True),
    }


def _streaming(settings: IngressSettings) -> dict[str, str]:
    """Annotations with which a controller lets a stream run for long and passes on each piece at once."""
    seconds = settings.timeout_seconds
    prefix = "nginx.ingress.kubernetes.io"
    timeouts: dict[str | None, dict[str, str]] = {
        "nginx": {f"{prefix}/proxy-read-timeout": f"{seconds}", f"{prefix}/proxy-send-timeout": f"{seconds}"},
        "haproxy": {"haproxy.org/timeout-server": f"{seconds}s"},
        "contour": {"projectcontour.io/response-timeout": f"{seconds}s"},
        "alb": {
            "alb.ingress.kubernetes.io/load-balancer-attributes": (
                f"idle_timeout.timeout_seconds={min(seconds or 0, _ALB_LONGEST)}"
            )
        },
    }
    # The others do not buffer, nor do they limit how large a request may be.
    unbuffered = {
        f"{prefix}/proxy-buffering": "off",
        f"{prefix}/proxy-request-buffering": "off",
        f"{prefix}/proxy-body-size": _NGINX_LARGEST,
    }
    found = timeouts.get(settings.controller, {}) if seconds is not None else {}
    return {**found, **(unbuffered if settings.controller == "nginx" else {})}
