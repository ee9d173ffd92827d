"""The schema of the chart's values: strict, with the operator's configuration as its own models describe it."""

from typing import Any

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.mirror import REGISTRY
from gemma_operator.api.structural import inlined
from gemma_operator.catalog.rows import AcceleratorFacts

Schema = dict[str, Any]
_STRING: Schema = {"type": "string"}
_BOOLEAN: Schema = {"type": "boolean"}
_FREE: Schema = {"type": "object"}
_STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_LIST: Schema = {"type": "array", "items": {"type": "object"}}
# Services are named after them, and these begin with a letter.
_OVERRIDE: Schema = {"type": "string", "pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$"}
_NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
_NAME_OR_NONE: Schema = {"anyOf": [{"enum": [""]}, _NAME]}
_REGISTRY: Schema = {"anyOf": [{"enum": ["", None]}, {"type": "string", "pattern": REGISTRY}]}
_NAMED: Schema = {
    "type": "array",
    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}},
}
_NAMESPACE: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
_DURATION: Schema = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}


def values_schema() -> Schema:
    """JSON schema of values.yaml."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart gemma4-stack",
        **_object(
            {
                # Helm puts these into a subchart, whatever the subchart knows.
                "global": {
                    "type": "object",
                    "properties": {
                        "imageRegistry": _REGISTRY,
                        "imagePullSecrets": _pull_secrets(),
                    },
                },
                "enabled": _BOOLEAN,
                "nameOverride": _OVERRIDE,
                "fullnameOverride": _OVERRIDE,
                "commonLabels": _STRINGS,
                "replicas": {"type": "integer", "minimum": 0, "maximum": 5},
                "watchNamespaces": {"type": "array", "items": _NAMESPACE, "uniqueItems": True},
                "crds": _object({"enabled": _BOOLEAN, "keep": _BOOLEAN, "annotations": _STRINGS}),
                "image": _object(
                    {
                        "registry": _REGISTRY,
                        "repository": {"type": "string", "pattern": "^[a-z0-9][-._/a-z0-9]*$"},
                        "tag": {"type": "string", "pattern": "^([A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?$"},
                        "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
                        "pullPolicy": {"enum": ["IfNotPresent", "Always", "Never"]},
                    }
                ),
                "imagePullSecrets": _pull_secrets(),
                "config": {**_config(), "type": ["object", "null"]},
                "serviceAccount": _object({"create": _BOOLEAN, "name": _NAME_OR_NONE, "annotations": _STRINGS}),
                "rbac": _object({"create": _BOOLEAN, "nodes": _BOOLEAN, "aggregateClusterRoles": _BOOLEAN}),
                "metrics": _object(
                    {
                        "service": _object(
                            {
                                "enabled": _BOOLEAN,
                                "port": _PORT,
                                "annotations": _STRINGS,
                            }
                        ),
                        "serviceMonitor": _object(
                            {
                                "enabled": _BOOLEAN,
                                "interval": _DURATION,
                                "scrapeTimeout": _DURATION,
                                "labels": _STRINGS,
                            }
                        ),
                        "podMonitors": _object(
                            {
                                "enabled": _BOOLEAN,
                                "interval": _DURATION,
                                "scrapeTimeout": _DURATION,
                                "labels": _STRINGS,
                            }
                        ),
                        "rules": _object({"enabled": _BOOLEAN, "labels": _STRINGS}),
                        "dashboards": _object({"enabled": _BOOLEAN, "labels": _STRINGS, "annotations": _STRINGS}),
                    }
                ),
                "resources": _FREE,
                "podDisruptionBudget": _object({"enabled": _BOOLEAN}),
                "podSecurityContext": _FREE,
                "securityContext": _FREE,
                "priorityClassName": _NAME_OR_NONE,
                "nodeSelector": _STRINGS,
                "tolerations": _LIST,
                "affinity": _FREE,
                "topologySpreadConstraints": _LIST,
                "podLabels": _STRINGS,
                "podAnnotations": _STRINGS,
                "deploymentLabels": _STRINGS,
                "deploymentAnnotations": _STRINGS,
                "extraEnv": _NAMED,
                "extraArgs": {"type": "array", "items": _STRING},
                "extraVolumes": _NAMED,
                "extraVolumeMounts": _NAMED,
                "networkPolicy": _object(
                    {
                        "enabled": _BOOLEAN,
                        "metricsFrom": _LIST,
                        "egress": _object(
                            {
                                "enabled": _BOOLEAN,
                                "apiServerCidrs": {
                                    "type": "array",
                                    "items": {"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$"},
                                },
                                "apiServerPorts": {"type": "array", "items": _PORT, "minItems": 1},
                            }
                        ),
                    }
                ),
                "extraObjects": {"type": "array", "items": {"type": ["object", "string"]}},
            }
        ),
    }


def _config() -> Schema:
    """The operator's configuration; what it leaves to the hardware table, the fields of a row, by their names."""
    config = inlined(_without_titles(OperatorConfig.model_json_schema()))
    row = config["properties"]["accelerators"]["items"]["properties"]
    fields = AcceleratorFacts.model_json_schema()["properties"].keys() - {"name"}
    row["fields"] = {**row["fields"], **_object({field: {} for field in sorted(fields)})}
    return config


def _pull_secrets() -> Schema:
    return {"type": "array", "items": {**_object({"name": _NAME}), "required": ["name"]}}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _without_titles(node: Any) -> Any:
    """A title that pydantic makes from a name says nothing; a property of that name does."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    return {key: _without_titles(value) for key, value in kept.items()}
