"""The spec of a GemmaDeployment, version v1alpha1: what a person writes.

The CRD is generated from these models (see `crd.py`). What needs two fields or a written answer stands beside the
model or field as a `Rule`, which the API server checks; the validators here say the same to readers of files. A
field is here only when it works.
"""

import math
import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from gemma_operator.api import rules
from gemma_operator.api.base import ApiModel, Rule, checked, explained
from gemma_operator.api.models import (
    AUDIO_MODELS,
    CONTEXT_LIMITS,
    DENIED_VLLM_VERSIONS,
    MINIMUM_VLLM_VERSION,
    MODEL_ALIASES,
    MODEL_KEYS,
    ModelKey,
    Precision,
    model_key,
)
from gemma_operator.api.podtypes import EnvVarDict, ResourcesDict, TolerationDict, TopologySpreadDict

__all__ = [
    "CONTEXT_LIMITS",
    "DENIED_VLLM_VERSIONS",
    "MINIMUM_VLLM_VERSION",
    "MODEL_ALIASES",
    "MODEL_KEYS",
    "ApiModel",
    "Features",
    "GemmaDeploymentSpec",
    "ModelKey",
    "Pod",
    "Precision",
    "Router",
    "Scaling",
    "SecretKeyRef",
    "Weights",
    "WeightsCache",
    "hold_seconds",
    "model_key",
    "seconds",
    "wrong_object",
]

_DURATION = re.compile(r"(\d+)(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_HOLD_SECONDS, _HOLD_STARTS = 600, 1.5

Duration = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9]+(s|m|h))+$", min_length=2, max_length=16),
    Field(json_schema_extra=explained("write a duration such as 90s, 10m or 1h30m")),
]
DnsLabel = Annotated[
    str,
    StringConstraints(pattern=rules.DNS_1035, min_length=1, max_length=40),
    Field(json_schema_extra=explained(f"write {rules.DNS_1035_WORDS}")),
]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Alias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][-A-Za-z0-9._:/@]*$"),
    Field(
        json_schema_extra=explained(
            "write a model name of letters, digits and - . _ : / @, starting with a letter or digit"
        )
    ),
]


def seconds(duration: str) -> int:
    """Seconds of a duration such as `90s`, `10m` or `1h30m`."""
    return sum(int(amount) * _SECONDS[unit] for amount, unit in _DURATION.findall(duration))


def hold_seconds(scaling: "Scaling", *, startup: float | None) -> int:
    """How long a request may wait in the router; `startup`: seconds of a start, where some were measured."""
    if scaling.hold_timeout is not None:
        return seconds(scaling.hold_timeout)
    return max(_HOLD_SECONDS, math.ceil(_HOLD_STARTS * (startup or 0)))


class Scaling(ApiModel):
    """How many replicas run: by default as many as the requests need, between `min` and `max`."""

    min: int = Field(1, ge=0, le=1000, description="Fewest replicas. 0: none while nobody asks for `idleBefore0`.")
    max: int = Field(4, ge=1, le=1000, description="Most replicas.")
    preference: Literal["economy", "balanced", "latency"] = Field(
        "balanced", description="What counts more when they conflict: fewer GPU hours, or fewer requests that wait."
    )
    mode: Literal["operator", "external"] = Field(
        "operator",
        description="Who decides: the operator, or whatever writes `spec.replicas`, such as an HPA on the scale "
        "subresource; the operator then only carries it out.",
    )
    idle_before0: Duration = Field(
        "15m", description="With `min: 0`, how long nothing must have been asked before the last replica goes."
    )
    hold_timeout: Duration | None = Field(
        None,
        description="How long the router keeps a request that no replica can take yet, such as `5m`. Unset: 10 "
        "minutes, or one and a half times a measured start (`status.startup.p90Seconds`) where that is longer.",
    )
    drain_timeout: Duration = Field(
        "5m",
        description="How long a replica that is told to stop may go on answering the requests it runs, such as `10m`.",
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (rules.MIN_MAX,)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(rules.MIN_MAX.message)
        return self


class Router(ApiModel):
    """The LiteLLM router in front of this deployment; deployments of a namespace share one by its name."""

    enabled: bool = Field(
        True,
        description="Whether a router serves this deployment. Without one, clients use the engine Service.",
    )
    name: DnsLabel = Field("gemma-router", description="Name of the router in this namespace.")
    aliases: list[Alias] = Field(
        default_factory=list,
        max_length=16,
        description="Other model names that clients may use, such as `gpt-4o-mini`.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    fallbacks: list[DnsLabel] = Field(
        default_factory=list,
        max_length=8,
        description="GemmaDeployments of the same router that answer when this one cannot, in order.",
    )


class Features(ApiModel):
    """What requests may contain."""

    tools: bool = Field(True, description="Function calling.")
    thinking: bool = Field(False, description="Thinking on by default; a request can always ask for it.")
    images: bool | None = Field(None, description="Image input. Unset: on where the model has it.")
    audio: bool | None = Field(None, description="Audio input. Unset: off; only E2B, E4B and 12B have it.")


class SecretKeyRef(ApiModel):
    """One key of a Secret in the same namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret.")
    key: str = Field("token", min_length=1, max_length=253, description="Key in the Secret.")


class WeightsCache(ApiModel):
    """A volume that keeps downloaded weights; several nodes must be able to mount it."""

    claim_name: str | None = Field(None, max_length=253, description="An existing PersistentVolumeClaim.")
    size: str | None = Field(
        None,
        pattern=r"^[1-9][0-9]*(Gi|Ti)$",
        max_length=16,
        description="Size of a claim to create, such as `200Gi`, access mode ReadWriteMany.",
        json_schema_extra=explained("write a size such as 200Gi or 1Ti"),
    )
    storage_class_name: str | None = Field(None, max_length=253, description="Storage class of the claim to create.")
    keep: bool = Field(False, description="Keep the created claim when the GemmaDeployment is deleted.")
    cel_rules: ClassVar[tuple[Rule, ...]] = (rules.ONE_CACHE, rules.CREATED_CACHE)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.claim_name is None) == (self.size is None):
            raise ValueError(rules.ONE_CACHE.message)
        if self.claim_name is not None and (self.storage_class_name is not None or self.keep):
            raise ValueError(rules.CREATED_CACHE.message)
        return self


class Weights(ApiModel):
    """Where weights come from and where they are kept."""

    token_secret_ref: SecretKeyRef | None = Field(
        None, description="Hugging Face token, for gated checkpoints or rate limits."
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/ ]",
        max_length=512,
        description="Base URL of a Hugging Face mirror.",
        json_schema_extra=explained("write a URL that starts with https:// or http://"),
    )
    cache: WeightsCache | None = Field(
        None, description="Volume for downloaded weights. Unset: the node's ephemeral storage."
    )


class Pod(ApiModel):
    """What engine pods get besides what the plan says."""

    labels: dict[str, Annotated[str, StringConstraints(max_length=63)]] = Field(
        default_factory=dict,
        max_length=32,
        description="Labels to add.",
        json_schema_extra=checked(rules.OWN_LABELS),
    )
    annotations: dict[str, str] = Field(
        default_factory=dict,
        max_length=32,
        description="Annotations to add.",
        json_schema_extra=checked(rules.OWN_ANNOTATIONS),
    )
    env: list[EnvVarDict] = Field(
        default_factory=list,
        max_length=64,
        description="Environment variables, as in a container; they win by name.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    extra_args: list[Annotated[str, StringConstraints(min_length=1, max_length=1024)]] = Field(
        default_factory=list,
        max_length=64,
        description="Arguments added to the engine's own.",
        json_schema_extra={**checked(*rules.PLANNED_FLAGS), "x-kubernetes-list-type": "atomic"},
    )
    node_selector: dict[str, Annotated[str, StringConstraints(max_length=63)]] = Field(
        default_factory=dict,
        max_length=32,
        description="Node labels that replicas need besides those of the accelerator.",
    )
    tolerations: list[TolerationDict] = Field(default_factory=list, max_length=32, description="Tolerations to add.")
    resources: ResourcesDict = Field(
        default_factory=dict,
        description="Requests and limits for cpu, memory and ephemeral-storage that replace the derived ones.",
    )
    priority_class_name: str | None = Field(None, max_length=253, description="PriorityClass of engine pods.")
    runtime_class_name: str | None = Field(None, max_length=253, description="RuntimeClass of engine pods.")
    service_account_name: str | None = Field(None, max_length=253, description="ServiceAccount of engine pods.")
    image_pull_secrets: list[Annotated[str, StringConstraints(min_length=1, max_length=253)]] = Field(
        default_factory=list, max_length=8, description="Names of image pull Secrets."
    )
    topology_spread: list[TopologySpreadDict] = Field(
        default_factory=list,
        max_length=8,
        description="Topology spread constraints that replace the default spread over nodes.",
    )

    @field_validator("labels", "annotations")
    @classmethod
    def _not_ours(cls, added: dict[str, str]) -> dict[str, str]:
        for key in added:
            if key.startswith(rules.OWN_PREFIXES):
                raise ValueError(f"{key}: {rules.OWN_LABELS.message}")
        return added

    @field_validator("extra_args")
    @classmethod
    def _not_planned(cls, arguments: list[str]) -> list[str]:
        for argument in arguments:
            if remedy := rules.FLAG_REMEDIES.get(argument.split("=", 1)[0]):
                raise ValueError(f"{argument}: {remedy}")
        return arguments


class GemmaDeploymentSpec(ApiModel):
    """What to serve. Every field is optional: an empty spec serves the best Gemma 4 that the free GPUs can hold."""

    model: ModelName = Field(
        "auto",
        description="`e2b`, `e4b`, `12b`, `26b-a4b`, `31b`, or `auto`: the best that fits. Known names such as "
        "`E4B`, `26B` and `google/gemma-4-31B-it` work too.",
        json_schema_extra=checked(rules.KNOWN_MODEL),
    )
    at_least: ModelName | None = Field(
        None,
        description="With `model: auto`, the smallest model that will do.",
        json_schema_extra=checked(rules.KNOWN_FLOOR),
    )
    precision: Literal["auto", "bf16", "fp8", "int8", "int4", "nvfp4"] = Field(
        "auto", description="Precision of the weights."
    )
    engine: Literal["auto", "vllm"] = Field("auto", description="Inference engine.")
    engine_version: str | None = Field(
        None,
        pattern=rules.VERSION,
        max_length=20,
        description="Version of the engine, such as `0.32.0`. Unset: the operator's.",
        json_schema_extra={
            **explained("write a version such as 0.32.0"),
            **checked(rules.DENIED_VERSION, rules.OLD_VERSION),
        },
    )
    context: int = Field(8192, ge=512, le=262_144, description="Tokens of prompt and answer that one request may use.")
    concurrency: int = Field(
        8, ge=1, le=4096, description="Requests of `typicalTokens` that one replica holds at once, at least."
    )
    typical_tokens: int = Field(2048, ge=1, le=262_144, description="Tokens of prompt and answer of a typical request.")
    tokens_per_second: float = Field(
        10,
        ge=0,
        le=10_000,
        description="Floor for the estimated decode speed of one request at `concurrency`.",
    )
    accelerators: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        default_factory=list,
        max_length=32,
        description="Accelerators in order of preference. Empty: every GPU type here. `cpu` only when listed.",
    )
    max_cost_per_hour: float | None = Field(
        None, gt=0, le=1_000_000, description="Cap in US dollars per hour for the whole deployment."
    )
    scaling: Scaling = Field(default_factory=Scaling, description="How many replicas may run.")
    replicas: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="A fixed number of replicas; written by `kubectl scale`. Remove it to undo.",
    )
    priority: int = Field(
        0,
        ge=-1_000_000,
        le=1_000_000,
        description="Between deployments that want the same GPUs, the higher wins.",
    )
    router: Router = Field(default_factory=Router, description="The router in front of this deployment.")
    features: Features = Field(default_factory=Features, description="What requests may contain.")
    weights: Weights = Field(default_factory=Weights, description="Where weights come from and where they are kept.")
    rollout: Literal["auto", "surge", "inPlace"] = Field(
        "auto",
        description="`surge` starts the new replica first, `inPlace` stops the old one first; `auto` surges when "
        "the GPUs for it are free.",
    )
    pod: Pod = Field(default_factory=Pod, description="What engine pods get besides what the plan says.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        *rules.CONTEXTS,
        rules.FLOOR_NEEDS_AUTO,
        rules.AUDIO,
        rules.ENGINE_KEY,
        rules.EXTERNAL_REPLICAS,
        rules.ZERO_NEEDS_ROUTER,
    )

    @field_validator("model", "at_least")
    @classmethod
    def _known_model(cls, name: str | None) -> str | None:
        if name is not None and name.lower() != "auto" and name.lower() not in MODEL_ALIASES:
            raise ValueError(f"unknown model {name!r}: use {rules.MODELS_OR_AUTO}")
        return name

    @field_validator("engine_version")
    @classmethod
    def _allowed_version(cls, version: str | None) -> str | None:
        if version in DENIED_VLLM_VERSIONS:
            raise ValueError(f"vLLM {version} is denied: {DENIED_VLLM_VERSIONS[version]}; {rules.VERSION_REMEDY}")
        if version is not None and rules.numbers(version) < rules.numbers(MINIMUM_VLLM_VERSION):
            raise ValueError(f"vLLM {version}: {rules.OLD_VERSION.message}")
        return version

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        key = model_key(self.model)
        limit = CONTEXT_LIMITS[key] if key else max(CONTEXT_LIMITS.values())
        if self.context > limit:
            raise ValueError(f"context {self.context} is above the limit of {key}: {rules.context_remedy(limit)}")
        if self.at_least is not None:
            if key is not None:
                raise ValueError(rules.FLOOR_NEEDS_AUTO.message)
            if model_key(self.at_least) is None:
                raise ValueError(rules.KNOWN_FLOOR.message)
        if self.features.audio and key is not None and key not in AUDIO_MODELS:
            raise ValueError(rules.AUDIO.message)
        if self.router.enabled and any(variable["name"] == "VLLM_API_KEY" for variable in self.pod.env):
            raise ValueError(rules.ENGINE_KEY.message)
        if self.scaling.mode == "external" and self.replicas is None:
            raise ValueError(rules.EXTERNAL_REPLICAS.message)
        if self.scaling.min == 0 and not self.router.enabled:
            raise ValueError(rules.ZERO_NEEDS_ROUTER.message)
        return self


def wrong_object(name: str, spec: GemmaDeploymentSpec) -> Iterator[str]:
    """What the API server would answer to a GemmaDeployment of this name, beyond what its spec alone shows."""
    refused = {
        rules.NAME: re.fullmatch(rules.DNS_1035, name) is None,
        rules.NAME_LENGTH: len(name) > rules.MAX_NAME,
        rules.ROUTER_NAME: spec.router.enabled and spec.router.name == name,
        rules.OWN_ALIAS: name in spec.router.aliases,
        rules.OWN_FALLBACK: name in spec.router.fallbacks,
    }
    yield from (rule.message for rule in rules.OBJECT if refused[rule])
