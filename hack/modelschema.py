"""The schema of the values of charts/gemma4-models: specs as the CustomResourceDefinition describes them."""

from typing import Any

from gemma_operator.api.crd import crd

Schema = dict[str, Any]
_NAME = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"
_STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def values_schema() -> Schema:
    """JSON schema of values.yaml."""
    spec = spec_schema()
    own: Schema = {
        "enabled": {"type": "boolean"},
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"labels": _STRINGS, "annotations": _STRINGS},
        },
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart gemma4-models",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            # Helm puts these into a subchart, whatever the subchart knows.
            "global": {"type": "object"},
            "enabled": {"type": "boolean"},
            "deployments": {
                "type": "object",
                "additionalProperties": False,
                "patternProperties": {
                    # Longer names or others are refused by the API server: Services are named so.
                    _NAME: {
                        **spec,
                        "type": ["object", "null"],
                        "properties": {**spec["properties"], **own},
                    }
                },
            },
            "defaults": spec,
            "keep": {"type": "boolean"},
            "commonLabels": _STRINGS,
            "commonAnnotations": _STRINGS,
        },
    }


def spec_schema() -> Schema:
    """Schema of a part of a spec: strict, but what a map requires may come from the defaults."""
    [version] = crd()["spec"]["versions"]
    return _strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"], whole=False)


def _strict(node: Schema, *, whole: bool) -> Schema:
    """`node` without what only Kubernetes understands; below a list, which is never merged, everything is `whole`."""
    kept = {key: value for key, value in node.items() if not key.startswith("x-kubernetes-") and key != "default"}
    if node.get("x-kubernetes-int-or-string"):
        kept["type"] = ["integer", "string"]
    if not whole:
        kept.pop("required", None)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        # A flag beside the bound in Kubernetes (OpenAPI 3.0), the bound itself in JSON schema.
        if kept.pop(exclusive, False):
            kept[exclusive] = kept.pop(bound)
    if "items" in node:
        kept["items"] = _strict(node["items"], whole=True)
    if "properties" in node:
        kept["properties"] = {name: _strict(value, whole=whole) for name, value in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            kept["additionalProperties"] = False
    if isinstance(node.get("additionalProperties"), dict):
        kept["additionalProperties"] = _strict(node["additionalProperties"], whole=whole)
    return kept
