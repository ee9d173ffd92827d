"""Specs that the API answers, for the models (unit) and for the API server (integration): both must agree."""

from typing import Any, NamedTuple


class Bad(NamedTuple):
    """A spec that is refused, and what the answer must say."""

    name: str
    spec: dict[str, Any]
    field: str
    """Path that the API server names."""
    says: str
    """Part of the API server's answer: what is wrong and what to do."""


BAD = (
    Bad("unknown model", {"model": "7b"}, "spec.model", "unknown model 7b: use e2b, e4b, 12b, 26b-a4b, 31b or auto"),
    Bad("unknown floor", {"atLeast": "auto"}, "spec.atLeast", "unknown model auto: use one of e2b, e4b, 12b"),
    Bad("floor without auto", {"model": "12b", "atLeast": "e4b"}, "spec.atLeast", "remove atLeast, or set model: auto"),
    Bad("unknown precision", {"precision": "fp7"}, "spec.precision", '"bf16", "fp8", "int8", "int4", "nvfp4"'),
    Bad("unknown engine", {"engine": "ollama"}, "spec.engine", 'supported values: "auto", "vllm"'),
    Bad(
        "context above the model's",
        {"model": "E4B", "context": 131_073},
        "spec.context",
        "context is above the limit of E4B: lower it to at most 131072, or choose 12b, 26b-a4b, 31b or auto",
    ),
    Bad(
        "context above every model's",
        {"context": 262_145},
        "spec.context",
        "should be less than or equal to 262144",
    ),
    Bad("negative context", {"context": -1}, "spec.context", "should be greater than or equal to 512"),
    Bad("negative concurrency", {"concurrency": -1}, "spec.concurrency", "should be greater than or equal to 1"),
    Bad("negative speed", {"tokensPerSecond": -1}, "spec.tokensPerSecond", "should be greater than or equal to 0"),
    Bad("negative cost", {"maxCostPerHour": -0.5}, "spec.maxCostPerHour", "should be greater than 0"),
    Bad("negative replicas", {"replicas": -1}, "spec.replicas", "should be greater than or equal to 0"),
    Bad("negative minimum", {"scaling": {"min": -1}}, "spec.scaling.min", "should be greater than or equal to 0"),
    Bad(
        "min above max",
        {"scaling": {"min": 3, "max": 2}},
        "spec.scaling.min",
        "scaling.min must not be above scaling.max: lower min or raise max",
    ),
    Bad("min above default max", {"scaling": {"min": 5}}, "spec.scaling.min", "lower min or raise max"),
    Bad(
        "no duration",
        {"scaling": {"drainTimeout": "5 minutes"}},
        "spec.scaling.drainTimeout",
        "write a duration such as 90s, 10m or 1h30m",
    ),
    Bad("denied engine", {"engineVersion": "0.27.1"}, "spec.engineVersion", "vLLM 0.27.1 is denied: its image"),
    Bad("old engine", {"engineVersion": "0.19.0"}, "spec.engineVersion", "vLLM before 0.19.1 does not know Gemma 4"),
    Bad("no version", {"engineVersion": "latest"}, "spec.engineVersion", "write a version such as 0.32.0"),
    Bad("unknown field", {"contextLength": 4096}, "spec.contextLength", 'unknown field "spec.contextLength"'),
    Bad("not yet a field", {"adapters": []}, "spec.adapters", 'unknown field "spec.adapters"'),
    Bad("router name", {"router": {"name": "Main"}}, "spec.router.name", "lower-case letters, digits and -"),
    Bad("wild alias", {"router": {"aliases": ["*"]}}, "spec.router.aliases[0]", "write a model name of letters"),
    Bad(
        "audio where there is none",
        {"model": "31b", "features": {"audio": True}},
        "spec.features.audio",
        "this model takes no audio: remove features.audio, or choose e2b, e4b, 12b or auto",
    ),
    Bad(
        "two caches",
        {"weights": {"cache": {"claimName": "a", "size": "1Gi"}}},
        "spec.weights.cache",
        "either claimName",
    ),
    Bad("no cache", {"weights": {"cache": {}}}, "spec.weights.cache", "either claimName"),
    Bad("kept claim", {"weights": {"cache": {"claimName": "a", "keep": True}}}, "spec.weights.cache", "size instead"),
    Bad("size", {"weights": {"cache": {"size": "lots"}}}, "spec.weights.cache.size", "write a size such as 200Gi"),
    Bad("mirror", {"weights": {"endpoint": "hf.example"}}, "spec.weights.endpoint", "starts with https:// or http://"),
    Bad(
        "planned flag",
        {"pod": {"extraArgs": ["--max-model-len=4096"]}},
        "spec.pod.extraArgs",
        "--max-model-len cannot be added: set spec.context instead",
    ),
    Bad(
        "key in an argument",
        {"pod": {"extraArgs": ["--api-key", "secret"]}},
        "spec.pod.extraArgs",
        "--api-key cannot be added",
    ),
    Bad("label of ours", {"pod": {"labels": {"gemma4stack.dev/pool": "7"}}}, "spec.pod.labels", "use another key"),
    Bad("env name", {"pod": {"env": [{"name": "1A", "value": "b"}]}}, "spec.pod.env[0].name", "letters, digits and _"),
    Bad("external", {"scaling": {"mode": "external"}}, "spec.replicas", "set replicas"),
    Bad("zero", {"scaling": {"min": 0}, "router": {"enabled": False}}, "spec.scaling.min", "router.enabled to true"),
    Bad("preference", {"scaling": {"preference": "speed"}}, "spec.scaling.preference", '"latency"'),
    Bad("idle", {"scaling": {"idleBefore0": "soon"}}, "spec.scaling.idleBefore0", "write a duration such as 90s"),
    Bad("engine key", {"pod": {"env": [{"name": "VLLM_API_KEY"}]}}, "spec.pod.env", "or set router.enabled: false"),
    Bad("env source", {"pod": {"env": [{"name": "A", "valueFrom": {}}]}}, "spec.pod.env[0].valueFrom", "exactly one"),
    Bad(
        "env of two kinds",
        {"pod": {"env": [{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}},
        "spec.pod.env[0]",
        "give value or valueFrom, not both",
    ),
    Bad("toleration", {"pod": {"tolerations": [{"value": "x"}]}}, "spec.pod.tolerations[0]", "needs operator: Exists"),
    Bad(
        "effect",
        {"pod": {"tolerations": [{"operator": "Exists", "effect": "Never"}]}},
        "spec.pod.tolerations[0].effect",
        '"NoSchedule", "PreferNoSchedule", "NoExecute"',
    ),
    Bad(
        "GPU by hand",
        {"pod": {"resources": {"limits": {"nvidia.com/gpu": "2"}}}},
        "spec.pod.resources.limits.nvidia.com/gpu",
        'unknown field "spec.pod.resources.limits.nvidia.com/gpu"',
    ),
)

BAD_OBJECTS = (
    ("dotted name", {"metadata": {"name": "chat.v2"}, "spec": {}}, "write a name of lower-case letters, digits and -"),
    ("leading digit", {"metadata": {"name": "4chat"}, "spec": {}}, "starting with a letter"),
    ("long name", {"metadata": {"name": "a" * 41}, "spec": {}}, "at most 40 characters"),
    ("name of the router", {"metadata": {"name": "gemma-router"}, "spec": {}}, "change spec.router.name"),
    (
        "own alias",
        {"metadata": {"name": "chat"}, "spec": {"router": {"aliases": ["chat"]}}},
        "the deployment's own name is always served",
    ),
    (
        "own fallback",
        {"metadata": {"name": "chat"}, "spec": {"router": {"fallbacks": ["chat"]}}},
        "cannot stand in for itself",
    ),
)
"""Objects that are refused for what only the whole object shows, and part of the answer."""

GOOD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("empty", {}),
    ("known names", {"model": "google/gemma-4-31B-it"}),
    ("floor", {"model": "auto", "atLeast": "26B"}),
    ("longest context", {"model": "12b", "context": 262_144}),
    ("longest context of a small model", {"model": "e2b", "context": 131_072}),
    ("newest engine", {"engine": "vllm", "engineVersion": "0.32.0"}),
    ("oldest engine", {"engineVersion": "0.19.1"}),
    ("asleep allowed", {"scaling": {"min": 0, "max": 2, "drainTimeout": "1h30m"}}),
    ("fixed", {"replicas": 3}),
    ("audio", {"model": "e4b", "features": {"audio": True, "images": False, "thinking": True}}),
    (
        "router",
        {"router": {"name": "main", "aliases": ["gpt-4o-mini", "google/gemma-4-E4B-it"], "fallbacks": ["small"]}},
    ),
    ("cache to create", {"weights": {"cache": {"size": "200Gi", "storageClassName": "nfs", "keep": True}}}),
    ("existing cache", {"weights": {"cache": {"claimName": "weights"}, "tokenSecretRef": {"name": "hf"}}}),
    ("mirror", {"weights": {"endpoint": "https://mirror.example/hf"}}),
    ("own key", {"router": {"enabled": False}, "pod": {"env": [{"name": "VLLM_API_KEY", "value": "k"}]}}),
    ("cost", {"maxCostPerHour": 2.5, "accelerators": ["h100-80", "l4"], "precision": "int4", "priority": -5}),
    (
        "pod",
        {
            "pod": {
                "labels": {"team": "search"},
                "annotations": {"example.com/owner": "search"},
                "env": [
                    {"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
                    {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
                "extraArgs": ["--enable-log-requests", "--max-log-len=100"],
                "nodeSelector": {"pool": "gpu"},
                "tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
                "resources": {"requests": {"cpu": "500m", "memory": "8Gi"}, "limits": {"ephemeral-storage": "50Gi"}},
                "priorityClassName": "high",
                "imagePullSecrets": ["registry"],
                "topologySpread": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "topology.kubernetes.io/zone",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": {"a": "b"}},
                    }
                ],
            }
        },
    ),
)
