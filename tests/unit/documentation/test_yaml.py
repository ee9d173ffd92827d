"""Every YAML block on a page is something that the product takes."""

import json
from typing import Any

import jsonschema
import pytest
import yaml
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec

from tests import pages
from tests.pages import Block

CHARTS = {
    name: json.loads((pages.ROOT / "charts" / name / "values.schema.json").read_text("utf-8"))
    for name in ("gemma4-stack", "gemma4-models")
}


def complaint(document: Any) -> str | None:
    """Why nothing takes a document: no GemmaDeployment, no configuration of the operator, no values of a chart."""
    if isinstance(document, dict) and "apiVersion" in document:
        if document.get("kind") != "GemmaDeployment":
            return f"{document.get('kind')} is not checked: add how"
        GemmaDeploymentSpec.model_validate(document.get("spec") or {})
        return None
    told = []
    for name, schema in CHARTS.items():
        try:
            jsonschema.validate(document, schema)
            return None
        except jsonschema.ValidationError as error:
            told.append(f"values of {name}: {error.json_path}: {error.message}")
    try:
        OperatorConfig.model_validate(document)
        return None
    except ValueError as error:
        told.append(f"configuration: {error}")
    return "\n".join(told)


@pytest.mark.parametrize("block", [block for block in pages.all_blocks() if block.language == "yaml"], ids=str)
def test_what_a_page_shows_is_taken(block: Block) -> None:
    documents = list(yaml.safe_load_all(block.text))
    assert documents
    for document in documents:
        wrong = complaint(document)
        assert wrong is None, f"{block}: {wrong}"


@pytest.mark.parametrize(
    "text",
    [
        "{config: {engin: {}}}",
        "{deployments: {chat: {modell: e4b}}}",
        "{accelerators: [{name: l4, field: {}}]}",
        "{anything: 1}",
        "[]",
    ],
)
def test_what_nothing_takes_is_found(text: str) -> None:
    assert complaint(yaml.safe_load(text))


def test_a_wrong_field_of_a_deployment_is_found() -> None:
    with pytest.raises(ValueError, match="contxt"):
        complaint({"apiVersion": "gemma4stack.dev/v1alpha1", "kind": "GemmaDeployment", "spec": {"contxt": 1}})
