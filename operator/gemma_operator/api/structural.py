"""From the JSON schema of a pydantic model to the structural schema that a CustomResourceDefinition may carry."""

from collections.abc import Mapping
from typing import Any

_KEPT = (
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "maxProperties",
    "minItems",
    "minLength",
    "minimum",
    "minProperties",
    "pattern",
    "properties",
    "required",
    "type",
)
_DROPPED = {"title", "$defs", "const", "examples"}


def inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` with every local reference replaced by what it refers to."""
    definitions = schema.get("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = definitions[node["$ref"].removeprefix("#/$defs/")]
            return walk({**target, **{key: value for key, value in node.items() if key != "$ref"}})
        return {key: walk(value) for key, value in node.items() if key != "$defs"}

    result: dict[str, Any] = walk(dict(schema))
    return result


def structural(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The structural schema of the JSON schema of a model.

    Raises ValueError for a construct that a structural schema cannot say.
    """
    return _node(inlined(schema))


def _node(node: dict[str, Any]) -> dict[str, Any]:
    node = _without_null(node)
    if "const" in node:
        node = {**node, "enum": [node["const"]]}
    result = {key: node[key] for key in _KEPT if key in node}
    _bounds(node, result)
    _pattern(node, result)
    if "properties" in node:
        result["properties"] = {name: _node(value) for name, value in node["properties"].items()}
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _node(node["additionalProperties"])
    if isinstance(node.get("items"), dict):
        result["items"] = _node(node["items"])
    if (default := _default(node, result)) is not None:
        result["default"] = default
    result.update({key: value for key, value in node.items() if key.startswith("x-kubernetes-") and value})
    if result.get("type") == "integer":
        result["format"] = "int32" if result.get("maximum", 1 << 31) < 1 << 31 else "int64"
    known = {*_KEPT, *_DROPPED, "additionalProperties", "default", "exclusiveMinimum", "exclusiveMaximum"}
    if unknown := [key for key in node if key not in known and not key.startswith("x-")]:
        raise ValueError(f"a structural schema cannot say {', '.join(unknown)}: {node}")
    if "type" not in result and "x-kubernetes-int-or-string" not in result:
        raise ValueError(f"a structural schema needs a type: {node}")
    return result


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """`X | None` is X: an unset field is absent from the object and never null."""
    if "anyOf" not in node:
        return node
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if len(options) != 1:
        raise ValueError(f"a structural schema cannot say anyOf: {node}")
    return {**options[0], **{key: value for key, value in node.items() if key != "anyOf"}}


def _bounds(node: dict[str, Any], result: dict[str, Any]) -> None:
    """JSON schema has numbers for exclusive bounds, OpenAPI 3.0 has flags."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in node:
            result[bound] = node[exclusive]
            result[exclusive] = True


def _pattern(node: dict[str, Any], result: dict[str, Any]) -> None:
    """A pattern with a message becomes a rule, because the answer to a pattern is only the expression."""
    message = node.get("x-pattern-message")
    if message and "pattern" in result:
        rule = {"rule": f"self.matches({cel(result.pop('pattern'))})", "message": message}
        node["x-kubernetes-validations"] = [rule, *node.get("x-kubernetes-validations", [])]


def _default(node: dict[str, Any], result: dict[str, Any]) -> Any:
    """A value's default; an object that requires nothing has those of its fields, whole: rules judge defaults too."""
    if "default" in node:
        default = node["default"]
        return None if isinstance(default, dict | list) and not default else default
    if result.get("required"):
        return None
    fields = result.get("properties", {})
    return {name: field["default"] for name, field in fields.items() if "default" in field} or None


def cel(value: Any) -> str:
    """`value` as a CEL literal."""
    match value:
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case list() | tuple():
            return "[" + ", ".join(cel(item) for item in value) + "]"
    raise TypeError(f"no CEL literal for {value!r}")
