"""The parts of a Pod that `spec.pod` takes over: checked by these models, kept as the dictionaries that Pods have."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from gemma_operator.api.base import ApiModel, Rule, explained
from gemma_operator.api.structural import inlined

Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"


class KeySelector(ApiModel):
    """One key of a Secret or ConfigMap."""

    name: Name = Field(description="Name of the Secret or ConfigMap.")
    key: Name = Field(description="Key in it.")
    optional: bool | None = Field(None, description="Whether the pod starts without it.")


class FieldSelector(ApiModel):
    """One field of the pod."""

    api_version: str | None = Field(None, max_length=64, description="Version of the schema of the path.")
    field_path: str = Field(min_length=1, max_length=256, description="Path such as `status.podIP`.")


class EnvSource(ApiModel):
    """Where the value of an environment variable comes from: exactly one of these."""

    secret_key_ref: KeySelector | None = Field(None, description="A key of a Secret.")
    config_map_key_ref: KeySelector | None = Field(None, description="A key of a ConfigMap.")
    field_ref: FieldSelector | None = Field(None, description="A field of the pod.")
    cel_rules = (
        Rule(
            "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].filter(given, given).size() == 1",
            "valueFrom needs exactly one of secretKeyRef, configMapKeyRef and fieldRef",
        ),
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(source is not None for source in (self.secret_key_ref, self.config_map_key_ref, self.field_ref)) != 1:
            raise ValueError(self.cel_rules[0].message)
        return self


class EnvVar(ApiModel):
    """An environment variable of the engine container."""

    name: str = Field(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the variable.",
        json_schema_extra=explained("write a name of letters, digits and _, not starting with a digit"),
    )
    value: str | None = Field(None, max_length=32_768, description="Its value.")
    value_from: EnvSource | None = Field(None, description="Where its value comes from, instead of `value`.")
    cel_rules = (Rule("!(has(self.value) && has(self.valueFrom))", "give value or valueFrom, not both"),)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.value is not None and self.value_from is not None:
            raise ValueError(self.cel_rules[0].message)
        return self


class Toleration(ApiModel):
    """A toleration, as in a Pod."""

    key: str | None = Field(None, max_length=316, description="Key of the taint; unset with `Exists`: every taint.")
    operator: Literal["Exists", "Equal"] | None = Field(None, description="How `value` is compared; unset: `Equal`.")
    value: str | None = Field(None, max_length=63, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; unset: every effect."
    )
    toleration_seconds: int | None = Field(
        None, description="Seconds that a NoExecute taint is tolerated; unset: for ever."
    )
    cel_rules = (
        Rule(
            "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
            "a toleration without key needs operator: Exists",
        ),
    )

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        if not self.key and self.operator != "Exists":
            raise ValueError(self.cel_rules[0].message)
        return self


class SelectorRequirement(ApiModel):
    """One requirement of a label selector."""

    key: Name = Field(description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How `values` are compared.")
    values: list[Annotated[str, StringConstraints(max_length=63)]] | None = Field(
        None, max_length=32, description="Label values."
    )


class LabelSelector(ApiModel):
    """A label selector, as in a Pod."""

    match_labels: dict[str, str] | None = Field(None, max_length=16, description="Labels that must be equal.")
    match_expressions: list[SelectorRequirement] | None = Field(
        None, max_length=16, description="Requirements that must hold."
    )


class TopologySpread(ApiModel):
    """A topology spread constraint, as in a Pod."""

    max_skew: int = Field(ge=1, le=1000, description="How unevenly replicas may be spread.")
    topology_key: Name = Field(description="Node label that makes a domain, such as `topology.kubernetes.io/zone`.")
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="What happens when it cannot be held."
    )
    label_selector: LabelSelector | None = Field(
        None, description="Pods that are counted; unset: the replicas of this deployment."
    )
    min_domains: int | None = Field(None, ge=1, le=1000, description="Domains that must exist at least.")
    node_affinity_policy: Literal["Honor", "Ignore"] | None = Field(
        None, description="Whether nodes that the pod cannot use by affinity count."
    )
    node_taints_policy: Literal["Honor", "Ignore"] | None = Field(
        None, description="Whether nodes with taints that the pod does not tolerate count."
    )
    match_label_keys: list[Name] | None = Field(
        None, max_length=8, description="Label keys whose values the counted pods share with the new one."
    )


def as_dict(model: type[ApiModel]) -> Callable[[Any], Any]:
    """A check of a dictionary by a model; it stays a dictionary."""

    def check(value: Any) -> Any:
        return model.model_validate(value).model_dump(mode="json", by_alias=True, exclude_none=True)

    return check


EnvVarDict = Annotated[
    dict[str, Any], BeforeValidator(as_dict(EnvVar)), WithJsonSchema(inlined(EnvVar.model_json_schema()))
]
TolerationDict = Annotated[
    dict[str, Any], BeforeValidator(as_dict(Toleration)), WithJsonSchema(inlined(Toleration.model_json_schema()))
]
TopologySpreadDict = Annotated[
    dict[str, Any],
    BeforeValidator(as_dict(TopologySpread)),
    WithJsonSchema(inlined(TopologySpread.model_json_schema())),
]


def _resource_list(value: dict[str, str]) -> dict[str, str]:
    if unknown := set(value) - {"cpu", "memory", "ephemeral-storage"}:
        raise ValueError(
            f"{', '.join(sorted(unknown))}: only cpu, memory and ephemeral-storage can be set; GPUs are the plan's"
        )
    return value


def _kinds(value: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    if unknown := set(value) - {"requests", "limits"}:
        raise ValueError(f"{', '.join(sorted(unknown))}: only requests and limits can be set")
    return value


Quantity = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value),
    StringConstraints(pattern=QUANTITY, max_length=20),
]
_QUANTITY_SCHEMA = {"x-kubernetes-int-or-string": True, "pattern": QUANTITY}
_RESOURCE_LIST_SCHEMA = {
    "type": "object",
    "properties": {
        "cpu": {**_QUANTITY_SCHEMA, "description": "CPU, such as `4` or `500m`."},
        "memory": {**_QUANTITY_SCHEMA, "description": "Memory, such as `24Gi`."},
        "ephemeral-storage": {**_QUANTITY_SCHEMA, "description": "Ephemeral storage, such as `100Gi`."},
    },
}
ResourcesDict = Annotated[
    dict[str, Annotated[dict[str, Quantity], AfterValidator(_resource_list)]],
    AfterValidator(_kinds),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "requests": {**_RESOURCE_LIST_SCHEMA, "description": "What a replica is sure to get."},
                "limits": {**_RESOURCE_LIST_SCHEMA, "description": "What a replica cannot exceed."},
            },
        }
    ),
]
