"""The CustomResourceDefinition, made from the models of spec and status."""

from typing import Any, Final

from gemma_operator.api import names, rules
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.api.status import GemmaDeploymentStatus
from gemma_operator.api.structural import structural

CRD_NAME: Final = f"{names.PLURAL}.{names.GROUP}"

COLUMNS: Final = (
    ("Model", "string", ".status.model", "Model and precision that run.", 0),
    ("Accelerator", "string", ".status.accelerator", "GPUs of one replica.", 0),
    ("Ready", "string", ".status.ready", "Ready and wanted replicas.", 0),
    ("Queue", "string", ".status.queue.summary", "Requests that run and wait.", 0),
    ("Phase", "string", ".status.phase", "One word for the state.", 0),
    ("Age", "date", ".metadata.creationTimestamp", "Time since creation.", 0),
    ("Cost/h", "string", ".status.costPerHour", "US dollars per hour, list price.", 1),
    ("Reason", "string", ".status.reason", "Why it is in this phase.", 1),
)
"""Printer columns: name, type, path, meaning, priority (1: only with `-o wide`)."""

NOT_SEEN: Final = -1
"""Generation that status speaks of until the operator writes one: without it kstatus, and so Flux, takes an object that
was just made for one that is done."""


def schema() -> dict[str, Any]:
    """The structural schema of a GemmaDeployment."""
    return {
        "type": "object",
        "description": "GemmaDeployment is a planned, running and routed Gemma 4 service on the GPUs of this cluster.",
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema of this object."},
            "kind": {"type": "string", "description": f"Always {names.KIND}."},
            # The longest name that Kubernetes allows bounds the cost of the rules; they say what names are good.
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": structural(GemmaDeploymentSpec.model_json_schema()),
            "status": {
                **structural(GemmaDeploymentStatus.model_json_schema(mode="serialization")),
                "default": {"observedGeneration": NOT_SEEN},
            },
        },
        "x-kubernetes-validations": [rule.schema() for rule in rules.OBJECT],
    }


def crd() -> dict[str, Any]:
    """The whole CustomResourceDefinition, ready to be applied."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD_NAME},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT],
                "categories": ["all", "gemma"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [_column(*column) for column in COLUMNS],
                    "schema": {"openAPIV3Schema": schema()},
                }
            ],
        },
    }


def _column(name: str, kind: str, path: str, meaning: str, priority: int) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path, "description": meaning}
    return {**column, "priority": priority} if priority else column
