"""The smallest value that a JSON schema allows, for tool arguments and structured answers."""

from collections.abc import Mapping
from typing import Any

_DEPTH = 12


def sample(schema: Mapping[str, Any], *, root: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """Return a value that satisfies `schema` as far as type, enum, required, bounds and references go."""
    root = root if root is not None else schema
    if depth > _DEPTH:
        return None
    if "$ref" in schema:
        target: Any = root
        for name in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target.get(name, {})
        return sample(target, root=root, depth=depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return sample(schema[key][0], root=root, depth=depth + 1)
    return _typed(schema, root=root, depth=depth)


def _typed(schema: Mapping[str, Any], *, root: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    match kind:
        case "object":
            fields: Mapping[str, Any] = schema.get("properties", {})
            names = [*schema.get("required", [])]
            return {name: sample(fields.get(name, {}), root=root, depth=depth + 1) for name in names}
        case "array":
            item = schema.get("items", {})
            return [sample(item, root=root, depth=depth + 1) for _ in range(schema.get("minItems", 0))]
        case "integer":
            return int(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
        case "number":
            return float(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
        case "boolean":
            return True
        case "null":
            return None
    return "text".ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength", 1 << 16)]
