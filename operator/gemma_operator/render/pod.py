"""What an engine pod gets besides what the plan says: environment, volumes, times, scheduling."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gemma_operator.api import names
from gemma_operator.api.config import EngineSettings, OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec, seconds
from gemma_operator.planner.types import Pool
from gemma_operator.render import quantity
from gemma_operator.render.names import ENGINE_KEY, PROBE_KEY, auth_secret, weights_claim
from gemma_operator.render.types import Object

USER_ID: Final = 65532
HOME: Final = "/home/engine"
WEIGHTS: Final = "/weights"
PROBE_DIRECTORY: Final = "/etc/gemma-engine"
CA_DIRECTORY: Final = "/etc/gemma-ca"
CA_FILE: Final = "ca.crt"
CLUSTER_HOSTS: Final = ("localhost", "127.0.0.1", "::1", ".svc", ".cluster.local")
"""Never behind the proxy of a site."""

PROBE_PERIOD_SECONDS: Final = 5
PROBE_TIMEOUT_SECONDS: Final = 15
COMPLETION_TIMEOUT_SECONDS: Final = 12
"""Below the probe's own timeout, so that the script says what it waited for."""
PULL_SECONDS: Final = 900
"""What a rollout may take above the start-up budget: scheduling, and pulling an image of ten gigabytes."""
DRAIN_MARGIN_SECONDS: Final = 15
"""Between the end of `--shutdown-timeout` and SIGKILL: the engine exits 1–2 s later (measured), 10 s at least."""
PROBE_GRACE_SECONDS: Final = 30
"""An engine that failed its probes has nothing to drain."""
NODE_LOST_SECONDS: Final = 120
"""Longer than a kubelet restart, shorter than the default of 300 s: the replacement needs minutes to load."""

SHM_BYTES: Final = quantity.GIB
"""vLLM makes segments of 400 MiB even for one worker; container runtimes give 64 MiB."""
SHM_BYTES_PER_GPU: Final = 2 * quantity.GIB

READY_TIMEOUT: Final = "VLLM_ENGINE_READY_TIMEOUT_S"
DISRUPTION_ANNOTATION: Final = "karpenter.sh/do-not-disrupt"

LOCAL_VOLUMES: Final = ("home", "shm", "tmp", "weights")
"""Volumes that hold nothing worth keeping a node for."""


def environment(*, spec: GemmaDeploymentSpec, pool: Pool, config: OperatorConfig, budget: int) -> list[Object]:
    """The container's environment, merged by name: the user's wins over the operator's, that over the rest."""
    own: list[Object] = [{"name": name, "value": value} for name, value in _directories().items()]
    own += [
        {"name": "VLLM_NO_USAGE_STATS", "value": "1"},
        {"name": "DO_NOT_TRACK", "value": "1"},
        {"name": "HF_HUB_DISABLE_TELEMETRY", "value": "1"},
        # Else vLLM gives up on its own workers after 600 s, in which large weights are not downloaded.
        {"name": READY_TIMEOUT, "value": str(budget)},
    ]
    if spec.router.enabled:
        own.append(_secret("VLLM_API_KEY", name=auth_secret(router=spec.router.name, config=config), key=ENGINE_KEY))
    if token := spec.weights.token_secret_ref:
        own.append(_secret("HF_TOKEN", name=token.name, key=token.key))
    if endpoint := spec.weights.endpoint or config.engine.hugging_face_endpoint:
        own.append({"name": "HF_ENDPOINT", "value": endpoint})
    own += [{"name": name, "value": value} for name, value in _site(config.engine).items()]
    planned = [{"name": name, "value": value} for name, value in pool.env]
    return merged_by_name(own, planned, config.engine.env, spec.pod.env)


def _directories() -> dict[str, str]:
    cache = f"{HOME}/.cache"
    return {
        "HOME": HOME,
        # getpass.getuser() looks here first; the numeric user has no passwd entry.
        "USER": "engine",
        "LOGNAME": "engine",
        "HF_HOME": f"{WEIGHTS}/huggingface",
        "XDG_CACHE_HOME": cache,
        "XDG_CONFIG_HOME": f"{HOME}/.config",
        "VLLM_CACHE_ROOT": f"{cache}/vllm",
        "VLLM_CONFIG_ROOT": f"{HOME}/.config/vllm",
        "TORCHINDUCTOR_CACHE_DIR": f"{cache}/torchinductor",
        "TRITON_CACHE_DIR": f"{cache}/triton",
        "CUDA_CACHE_PATH": f"{cache}/nv",
        "FLASHINFER_WORKSPACE_BASE": HOME,
        "NUMBA_CACHE_DIR": f"{cache}/numba",
        "MPLCONFIGDIR": f"{HOME}/.config/matplotlib",
    }


def _site(settings: EngineSettings) -> dict[str, str]:
    """Proxy and certificate authorities; each library of the download reads another name for the latter."""
    found: dict[str, str] = {}
    if proxy := settings.proxy:
        given = {"HTTP_PROXY": proxy.http, "HTTPS_PROXY": proxy.https}
        found |= {name: value for name, value in given.items() if value}
        found["NO_PROXY"] = ",".join([*CLUSTER_HOSTS, *proxy.no_proxy])
    if settings.ca_bundle:
        # httpx and hf_xet; requests; curl.
        names_of_bundle = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        found |= dict.fromkeys(names_of_bundle, f"{CA_DIRECTORY}/{CA_FILE}")
    return found


def _secret(variable: str, *, name: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def merged_by_name(*groups: Iterable[Mapping[str, Any]]) -> list[Object]:
    """Entries in order of first appearance; an entry of a later group replaces one of the same name."""
    merged: dict[str, Object] = {}
    for group in groups:
        for entry in group:
            merged[entry["name"]] = dict(entry)
    return list(merged.values())


def volumes(*, deployment: str, spec: GemmaDeploymentSpec, pool: Pool, config: OperatorConfig) -> list[Object]:
    """Volumes besides the probe script; the root file system is read-only, so everything written goes here."""
    shm = max(
        pool.resources.shm_bytes, SHM_BYTES if pool.gpus_per_replica <= 1 else SHM_BYTES_PER_GPU * pool.gpus_per_replica
    )
    cache = spec.weights.cache
    weights: Object = {"name": "weights", "emptyDir": {}}
    if cache is not None:
        claim = cache.claim_name or weights_claim(deployment)
        weights = {"name": "weights", "persistentVolumeClaim": {"claimName": claim}}
    return [
        {"name": "home", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": quantity.of_bytes(shm)}},
        {"name": "tmp", "emptyDir": {}},
        weights,
        *_ca_volume(config.engine),
    ]


def _ca_volume(settings: EngineSettings) -> list[Object]:
    if settings.ca_bundle is None:
        return []
    items = [{"key": settings.ca_bundle.key, "path": CA_FILE}]
    return [{"name": "ca", "configMap": {"name": settings.ca_bundle.config_map, "items": items}}]


def ca_mounts(settings: EngineSettings) -> list[Object]:
    """Where the certificate authorities of the site are mounted, if there are any."""
    return [{"name": volume["name"], "mountPath": CA_DIRECTORY, "readOnly": True} for volume in _ca_volume(settings)]


def grace_seconds(*, spec: GemmaDeploymentSpec, config: OperatorConfig) -> int:
    """Seconds between the deletion of a pod and SIGKILL: every router knows, running requests end, the engine exits."""
    return config.engine.pre_stop_seconds + seconds(spec.scaling.drain_timeout) + DRAIN_MARGIN_SECONDS


def tolerations(given: Sequence[Mapping[str, Any]], *, node_lost_seconds: int) -> list[Object]:
    """Those given, and how long a pod outlives its node, unless they say that."""
    own: list[Object] = []
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(_covers(toleration, key) for toleration in given):
            own.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": node_lost_seconds}
            )
    return [*(dict(toleration) for toleration in given), *own]


def _covers(toleration: Mapping[str, Any], key: str) -> bool:
    return toleration.get("key") in (None, "", key) and toleration.get("effect") in (None, "", "NoExecute")


def topology_spread(*, selector: Mapping[str, str], given: Sequence[Mapping[str, Any]]) -> list[Object]:
    """The user's constraints, else a preference for different nodes; they count the pods of `selector`."""
    counted = {"matchLabels": dict(selector)}
    if given:
        return [{**constraint, "labelSelector": constraint.get("labelSelector") or counted} for constraint in given]
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": counted,
        }
    ]


def probe_command(model: str) -> list[str]:
    """The startup probe: one completion of the served model, asked for by the mounted script."""
    return [
        *("python3", f"{PROBE_DIRECTORY}/{PROBE_KEY}", "--model", model),
        *("--port", str(names.ENGINE_PORT), "--timeout", str(COMPLETION_TIMEOUT_SECONDS)),
    ]


def pod_annotations(*, given: Mapping[str, str], budget: int, claimed_weights: bool) -> dict[str, str]:
    """The user's annotations above ours.

    Karpenter leaves the node alone for the start-up budget and may consolidate it afterwards (an older one that does
    not know durations ignores the annotation). cluster-autoscaler keeps every node on which a pod has a local volume;
    ours are caches. It has no "for a while", so a partly used node may be drained while a replica loads.
    """
    local = [name for name in LOCAL_VOLUMES if name != "weights" or not claimed_weights]
    return {
        DISRUPTION_ANNOTATION: f"{-(-budget // 60)}m",
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": ",".join(local),
        **given,
    }
