"""What every model of the API shares: camelCase on the wire, unknown fields refused, rules for the API server."""

from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Rule(NamedTuple):
    """A CEL rule that the API server checks, and what it answers when the rule does not hold."""

    rule: str
    message: str
    field: str = ""
    """Path below the model, such as `.min`, that the answer names; empty: the model itself."""
    expression: str = ""
    """CEL expression of the message, where it should show values; `message` is the fallback."""

    def schema(self) -> dict[str, str]:
        """One entry of `x-kubernetes-validations`."""
        entry = {"rule": self.rule, "message": self.message}
        if self.expression:
            entry["messageExpression"] = self.expression
        if self.field:
            entry["fieldPath"] = self.field
        return entry


class ApiModel(BaseModel):
    """Base of everything in the API: camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.cel_rules:
            schema["x-kubernetes-validations"] = [rule.schema() for rule in cls.cel_rules]
        return schema


def checked(*rules: Rule) -> dict[str, Any]:
    """`json_schema_extra` of a field whose value the API server checks by `rules`."""
    return {"x-kubernetes-validations": [rule.schema() for rule in rules]}


def explained(message: str) -> dict[str, Any]:
    """`json_schema_extra` of a field whose `pattern` is answered with `message` and not with the bare expression."""
    return {"x-pattern-message": message}
