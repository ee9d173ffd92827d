"""The objects of one GemmaDeployment."""

import math
from collections.abc import Sequence
from importlib import resources
from typing import Any, Final

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.planner.types import Pool
from gemma_operator.render import names as objects
from gemma_operator.render import pod
from gemma_operator.render.budget import startup_budget_seconds
from gemma_operator.render.environment import config_map, render
from gemma_operator.render.manifests import stamped
from gemma_operator.render.peers import engine_peers
from gemma_operator.render.resources import engine_resources
from gemma_operator.render.types import DeploymentIdentity, Object, Strategy

_ROLLING: Final[dict[Strategy, dict[str, int]]] = {
    "surge": {"maxSurge": 1, "maxUnavailable": 0},
    "inPlace": {"maxSurge": 0, "maxUnavailable": 1},
}
_PROBE: Final = (resources.files("gemma_operator.render.scripts") / objects.PROBE_KEY).read_text(encoding="utf-8")


def render_engine(
    *,
    deployment: DeploymentIdentity,
    spec: GemmaDeploymentSpec,
    pools: Sequence[Pool],
    config: OperatorConfig,
    strategy: Strategy,
    operator_namespace: str,
    measured_start: int | None = None,
) -> list[Object]:
    """Everything that one GemmaDeployment owns, in the order of applying it.

    `measured_start`: seconds that starts of this deployment take, where that is known. The number of replicas is never
    rendered, it belongs to the scaler. Each object carries a checksum of itself (see `drift`).
    """
    common: dict[str, Any] = {
        "namespace": deployment.namespace,
        "labels": objects.engine_labels(deployment.name),
        "owners": [objects.controller_reference(deployment)],
        "selector": objects.engine_selector(deployment.name),
    }
    rendered = [
        config_map(objects.probe_config_map(deployment.name), {objects.PROBE_KEY: _PROBE}, **common),
        *_claim(deployment=deployment, spec=spec, common=common),
        render(
            "network-policy",
            **common,
            name=deployment.name,
            rules=[
                {
                    "ports": [names.ENGINE_PORT],
                    "peers": engine_peers(spec=spec, config=config, operator_namespace=operator_namespace),
                }
            ],
        ),
        render("disruption-budget", **common, name=deployment.name),
        _service(deployment=deployment, spec=spec, common=common),
    ]
    for index, pool in enumerate(pools):
        budget = startup_budget_seconds(pool=pool, config=config, measured=measured_start)
        rendered.append(
            _pool(
                index=index,
                deployment=deployment,
                spec=spec,
                pool=pool,
                config=config,
                strategy=strategy,
                budget=budget,
                common=common,
            )
        )
    return [stamped(manifest) for manifest in rendered]


def _claim(*, deployment: DeploymentIdentity, spec: GemmaDeploymentSpec, common: dict[str, Any]) -> list[Object]:
    cache = spec.weights.cache
    if cache is None or cache.size is None:
        return []
    claim = render(
        "weights-claim",
        **{**common, "owners": [] if cache.keep else common["owners"]},
        name=objects.weights_claim(deployment.name),
        size=cache.size,
        storage_class=cache.storage_class_name,
    )
    return [claim]


def _service(*, deployment: DeploymentIdentity, spec: GemmaDeploymentSpec, common: dict[str, Any]) -> Object:
    # EndpointSlices inherit these labels; the router finds its engines by them.
    routed = {names.ROUTER_LABEL: spec.router.name} if spec.router.enabled else {}
    return render(
        "service",
        **{**common, "labels": {**common["labels"], **routed}},
        name=objects.service(deployment.name),
        type="ClusterIP",
        port=names.ENGINE_PORT,
    )


def _pool(
    *,
    index: int,
    deployment: DeploymentIdentity,
    spec: GemmaDeploymentSpec,
    pool: Pool,
    config: OperatorConfig,
    strategy: Strategy,
    budget: int,
    common: dict[str, Any],
) -> Object:
    settings, given = config.engine, spec.pod
    labels = {**common["labels"], names.POOL_LABEL: str(index)}
    return render(
        "engine-deployment",
        **{**common, "labels": labels, "selector": {**common["selector"], names.POOL_LABEL: str(index)}},
        name=names.pool_deployment(deployment=deployment.name, pool=index),
        strategy=_ROLLING[strategy],
        progress_deadline=budget + pod.PULL_SECONDS,
        pod_labels={**given.labels, **labels},
        pod_annotations=pod.pod_annotations(
            given=given.annotations, budget=budget, claimed_weights=spec.weights.cache is not None
        ),
        node_selector=given.node_selector,
        node_selector_terms=list(pool.node_selector_terms),
        tolerations=pod.tolerations(pool.tolerations, node_lost_seconds=pod.NODE_LOST_SECONDS),
        topology_spread=pod.topology_spread(selector=common["selector"], given=given.topology_spread),
        grace_seconds=pod.grace_seconds(spec=spec, config=config),
        pre_stop_seconds=settings.pre_stop_seconds,
        service_account=given.service_account_name,
        priority_class=given.priority_class_name,
        runtime_class=given.runtime_class_name,
        pull_secrets=sorted({*settings.image_pull_secrets, *given.image_pull_secrets}),
        user_id=pod.USER_ID,
        image=pool.image,
        pull_policy=settings.image_pull_policy,
        args=list(pool.args),
        env=pod.environment(spec=spec, pool=pool, config=config, budget=budget),
        port=names.ENGINE_PORT,
        port_name=names.HTTP_PORT_NAME,
        container=names.ENGINE_CONTAINER,
        resources=engine_resources(pool=pool, settings=settings, overrides=given.resources),
        probe_command=pod.probe_command(deployment.name),
        probe_period=pod.PROBE_PERIOD_SECONDS,
        probe_timeout=pod.PROBE_TIMEOUT_SECONDS,
        probe_failures=math.ceil(budget / pod.PROBE_PERIOD_SECONDS),
        probe_grace=pod.PROBE_GRACE_SECONDS,
        probe_directory=pod.PROBE_DIRECTORY,
        probe_config_map=objects.probe_config_map(deployment.name),
        home=pod.HOME,
        weights=pod.WEIGHTS,
        volumes=pod.volumes(deployment=deployment.name, spec=spec, pool=pool, config=config),
        ca_mounts=pod.ca_mounts(settings),
    )
