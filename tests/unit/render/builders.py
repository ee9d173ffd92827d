"""Values that tests of the renderer start from; every test changes only what it is about."""

from dataclasses import replace
from typing import Any

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.planner.types import Memory, Pool, Resources, Supply
from gemma_operator.render.engine import render_engine
from gemma_operator.render.exposure import exposures, render_exposure
from gemma_operator.render.router import render_router
from gemma_operator.render.types import DeploymentIdentity, Object, Route, RouterKeys, Strategy

GIB = 2**30
CHAT = DeploymentIdentity(name="chat", namespace="team-a", uid="11111111-1111-4111-8111-111111111111")
OTHER = DeploymentIdentity(name="code", namespace="team-a", uid="22222222-2222-4222-8222-222222222222")
KEYS = RouterKeys(master="sk-" + "m" * 40, engine="e" * 40, client="c" * 40)
CODE = {"__init__.py": '"""Router."""\n', "startup.py": "async def start() -> None: ...\n"}

POOL = Pool(
    model="e4b",
    checkpoint="google/gemma-4-E4B-it",
    precision="bf16",
    engine="vllm",
    engine_version="0.32.0",
    image="vllm/vllm-openai:v0.32.0",
    accelerator="l4",
    resource="nvidia.com/gpu",
    gpus_per_replica=1,
    replicas=1,
    supply=Supply.FREE,
    max_model_len=8192,
    max_num_seqs=32,
    max_num_batched_tokens=4096,
    kv_cache_dtype="auto",
    gpu_memory_utilization=0.9,
    kv_cache_tokens=100_000,
    sequences_typical=40,
    sequences_full=12,
    memory=Memory(
        reported=22 * GIB,
        usable=20 * GIB,
        weights=15 * GIB,
        overhead=2 * GIB,
        kv_cache=3 * GIB,
        kv_per_sequence=GIB // 4,
    ),
    resources=Resources(cpu_millis=4000, memory_bytes=24 * GIB, ephemeral_bytes=40 * GIB),
    node_selector_terms=(
        {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-L4"]}]},
        {"matchExpressions": [{"key": "cloud.google.com/gke-accelerator", "operator": "In", "values": ["nvidia-l4"]}]},
    ),
    tolerations=({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},),
    args=(
        "google/gemma-4-E4B-it",
        "--served-model-name=chat",
        "--max-model-len=8192",
        "--shutdown-timeout=300",
        '--limit-mm-per-prompt={"image": 4}',
    ),
    env=(),
    decode_tokens_per_second=20.0,
    cost_per_hour=0.7,
    cost_per_million_tokens=1.0,
    weights_bytes=16_000_000_000,
)


def spec(**fields: Any) -> GemmaDeploymentSpec:
    """A spec from the fields of a manifest."""
    return GemmaDeploymentSpec.model_validate(fields)


def config(**fields: Any) -> OperatorConfig:
    """A configuration from the fields of its file."""
    return OperatorConfig.model_validate(fields)


def engine_objects(
    *,
    pool: Pool = POOL,
    pools: tuple[Pool, ...] | None = None,
    strategy: Strategy = "surge",
    settings: OperatorConfig | None = None,
    budget: int | None = None,
    measured: int | None = None,
    **fields: Any,
) -> list[Object]:
    """What is rendered for GemmaDeployment `chat` with these fields of its spec."""
    return render_engine(
        deployment=CHAT,
        spec=spec(**fields),
        pools=pools or (pool,),
        config=settings or config(**({"engine": {"startupBudgetSeconds": budget}} if budget else {})),
        strategy=strategy,
        operator_namespace="gemma-system",
        measured_start=measured,
    )


def router_objects(
    *,
    owners: tuple[DeploymentIdentity, ...] = (CHAT, OTHER),
    routes: tuple[Route, ...] = (
        Route(name="chat", aliases=("gpt-4o-mini",), max_num_seqs=32, context_tokens=8192),
        Route(name="code", max_num_seqs=16, context_tokens=32768, fallbacks=("chat",)),
    ),
    code: dict[str, str] | None = None,
    **settings: Any,
) -> list[Object]:
    """What is rendered for router `gemma-router` of two GemmaDeployments."""
    return render_router(
        namespace="team-a",
        router="gemma-router",
        owners=owners,
        routes=routes,
        config=config(**settings),
        operator_namespace="gemma-system",
        code=CODE if code is None else code,
    )


EXPOSED: dict[str, Any] = {
    "ingress": {
        "hosts": ["{router}.{namespace}.example.com", "{namespace}.llm.example.com"],
        "className": "nginx",
        "controller": "nginx",
        "tlsSecret": "{router}-tls",
        "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
    },
    "httpRoute": {
        "hosts": ["{router}-{namespace}.example.com"],
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
    },
}
"""`router` of a configuration with both ways into a router."""


def exposing_objects(**router: Any) -> list[Object]:
    """Anchors, Ingress and HTTPRoute of router `gemma-router`."""
    settings = config(router=router or EXPOSED)
    found = exposures(config=settings, namespace="team-a", router="gemma-router")
    names = [each.anchor for each in found]
    anchors = [obj for obj in router_objects(router=router or EXPOSED) if obj["metadata"]["name"] in names]
    return [
        *anchors,
        *(
            render_exposure(each, namespace="team-a", router="gemma-router", anchor_uid=f"uid-{each.anchor}")
            for each in found
        ),
    ]


def of_kind(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The only object of that kind (and name)."""
    (found,) = [item for item in objects if item["kind"] == kind and name in (None, item["metadata"]["name"])]
    return found


def pod_spec(objects: list[Object]) -> Object:
    """The pod spec of the only Deployment."""
    return dict(of_kind(objects, "Deployment")["spec"]["template"]["spec"])


def container(objects: list[Object]) -> Object:
    """The only container of the only Deployment."""
    (only,) = pod_spec(objects)["containers"]
    return dict(only)


def environment(objects: list[Object]) -> dict[str, Object]:
    """Environment entries of the only container, by name."""
    return {entry["name"]: entry for entry in container(objects)["env"]}


def tensor_parallel(pool: Pool, gpus: int) -> Pool:
    """The pool with another number of GPUs per replica."""
    return replace(pool, gpus_per_replica=gpus)


def mounts(objects: list[Object]) -> dict[str, Object]:
    """Mount path → volume that is mounted there."""
    volumes = {volume["name"]: volume for volume in pod_spec(objects)["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in container(objects)["volumeMounts"]}
