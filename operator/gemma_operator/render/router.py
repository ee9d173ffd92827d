"""The objects of one router, shared by every GemmaDeployment that names it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml
from gemma_router import proxy_config

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.render import names as objects
from gemma_operator.render.environment import config_map, render
from gemma_operator.render.exposure import anchors
from gemma_operator.render.manifests import checksum, compact, stamped
from gemma_operator.render.peers import operator_peers
from gemma_operator.render.pod import USER_ID, tolerations, topology_spread
from gemma_operator.render.types import DeploymentIdentity, Object, Route, RouterKeys

STATE_PORT_NAME: Final = "state"
KILL_MARGIN_SECONDS: Final = 20
"""Between the end of GRACEFUL_SHUTDOWN_TIMEOUT and SIGKILL."""
NODE_LOST_SECONDS: Final = 60
"""Shorter than an engine's: a router starts in seconds, and the one that is left should not be alone for minutes."""


def render_router(
    *,
    namespace: str,
    router: str,
    owners: Sequence[DeploymentIdentity],
    routes: Sequence[Route],
    config: OperatorConfig,
    operator_namespace: str,
    code: Mapping[str, str],
) -> list[Object]:
    """Everything that a router needs but its Secrets, in the order of applying it.

    `owners` are all GemmaDeployments that use it: each owns each object, so that the garbage collector removes the
    router with its last user. `code` is the source of `gemma_router` by file name. New routes roll no pod; a new
    configuration or new code does.
    """
    common = _common(namespace=namespace, router=router, owners=owners)
    litellm_config = yaml.safe_dump(proxy_config.litellm_config(), sort_keys=True)
    source = dict(sorted(code.items()))
    rendered = [
        render("service-account", **common, name=router),
        render(
            "role-binding",
            **common,
            name=router,
            role_kind="Role" if config.namespaces else "ClusterRole",
            role=config.router.role,
            service_account=router,
        ),
        config_map(objects.config_config_map(router), {objects.CONFIG_KEY: litellm_config}, **common),
        config_map(objects.code_config_map(router), source, **common),
        config_map(objects.routes_config_map(router), {objects.ROUTES_KEY: routes_json(routes)}, **common),
        render(
            "network-policy",
            **common,
            name=router,
            rules=[
                {"ports": [proxy_config.HTTP_PORT], "peers": []},
                {
                    "ports": [proxy_config.STATE_PORT],
                    "peers": operator_peers(config=config, operator_namespace=operator_namespace),
                },
            ],
        ),
        *anchors(config=config, namespace=namespace, router=router, common=common),
        render("disruption-budget", **common, name=router),
        render("service", **common, name=router, type=config.router.service_type, port=names.ROUTER_SERVICE_PORT),
        _deployment(router=router, config=config, common=common, restart_on=checksum([litellm_config, source])),
    ]
    return [stamped(manifest) for manifest in rendered]


def router_secrets(
    *, namespace: str, router: str, owners: Sequence[DeploymentIdentity], config: OperatorConfig, keys: RouterKeys
) -> list[Object]:
    """The Secrets of a new router: created once, never applied again and never read.

    None of those that `router.masterKeySecret` and `router.clientKeysSecret` replace. The users of a router change and
    its Secrets are not written again, so `owners` may be empty and the caller name an owner that stays.
    """
    common = _common(namespace=namespace, router=router, owners=owners)
    wanted = []
    if config.router.master_key_secret is None:
        auth = {objects.MASTER_KEY: keys.master, objects.ENGINE_KEY: keys.engine}
        wanted.append((objects.auth_secret(router=router, config=config), auth))
    if config.router.client_keys_secret is None:
        wanted.append((objects.keys_secret(router=router, config=config), {objects.DEFAULT_CLIENT: keys.client}))
    return [render("secret", **common, name=name, data=data) for name, data in wanted]


def routes_json(routes: Sequence[Route]) -> str:
    """`routes.json` as `gemma_router` reads it: the same routes in any order give the same text."""
    deployments = [
        {
            "name": route.name,
            "aliases": sorted(route.aliases),
            "maxNumSeqs": route.max_num_seqs,
            "contextTokens": route.context_tokens,
            "fallbacks": list(route.fallbacks),
            "holdTimeoutSeconds": route.hold_seconds,
            **({"startupSeconds": route.startup_seconds} if route.startup_seconds is not None else {}),
            **({"switchedOff": True} if route.switched_off else {}),
        }
        for route in sorted(routes, key=lambda route: route.name)
    ]
    return compact({"deployments": deployments})


def _references(owners: Sequence[DeploymentIdentity]) -> list[Object]:
    return [objects.user_reference(owner) for owner in sorted(owners, key=lambda owner: (owner.name, owner.uid))]


def _common(*, namespace: str, router: str, owners: Sequence[DeploymentIdentity]) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "labels": objects.router_labels(router),
        "selector": objects.router_selector(router),
        "owners": _references(owners),
    }


def _deployment(*, router: str, config: OperatorConfig, common: dict[str, Any], restart_on: str) -> Object:
    settings = config.router
    environment = {
        **proxy_config.ENVIRONMENT,
        "GRACEFUL_SHUTDOWN_TIMEOUT": str(settings.drain_seconds),
        "GEMMA_ROUTER_NAME": router,
    }
    return render(
        "router-deployment",
        **common,
        name=router,
        replicas=settings.replicas,
        pod_annotations={objects.CONFIG_ANNOTATION: restart_on},
        service_account=router,
        pull_secrets=sorted(settings.image_pull_secrets),
        grace_seconds=proxy_config.PRE_STOP_SECONDS + settings.drain_seconds + KILL_MARGIN_SECONDS,
        pre_stop_seconds=proxy_config.PRE_STOP_SECONDS,
        tolerations=tolerations([], node_lost_seconds=NODE_LOST_SECONDS),
        topology_spread=topology_spread(selector=common["selector"], given=[]),
        user_id=USER_ID,
        container=names.ROUTER_CONTAINER,
        image=config.router_image,
        pull_policy=settings.image_pull_policy,
        command=list(proxy_config.COMMAND),
        env=[{"name": name, "value": value} for name, value in sorted(environment.items())],
        auth_secret=objects.auth_secret(router=router, config=config),
        master_key=objects.MASTER_KEY,
        engine_key=objects.ENGINE_KEY,
        ports={names.HTTP_PORT_NAME: proxy_config.HTTP_PORT, STATE_PORT_NAME: proxy_config.STATE_PORT},
        resources={
            "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
            "limits": {"memory": settings.memory_limit},
        },
        readiness_path=proxy_config.READINESS_PATH,
        liveness_path=proxy_config.LIVENESS_PATH,
        mounts={
            "code": proxy_config.CODE_MOUNT,
            "config": proxy_config.CONFIG_DIR,
            "keys": proxy_config.KEYS_DIR,
        },
        config_config_map=objects.config_config_map(router),
        code_config_map=objects.code_config_map(router),
        keys_secret=objects.keys_secret(router=router, config=config),
    )
