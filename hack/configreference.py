"""The reference of the operator's configuration as Markdown, made from its models."""

import json
from collections.abc import Iterator
from typing import Any

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.structural import inlined

_HEAD = """# The operator's configuration

Made from the models in `operator/gemma_operator/api/config.py` by `make manifests`; do not edit.

One file, `/etc/gemma-operator/config.yaml` in the operator's pod; the chart writes it from its value `config`. It is
validated when the operator starts, and by `helm install` before that. `kubectl gemma plan --config FILE` reads the same
file. Every field is optional.

| field | default | meaning |
| --- | --- | --- |
"""


def configuration_reference() -> str:
    """The whole page."""
    return _HEAD + "\n".join(_rows("", inlined(OperatorConfig.model_json_schema()))) + "\n"


def _rows(path: str, node: dict[str, Any]) -> Iterator[str]:
    for name, value in node.get("properties", {}).items():
        field = f"{path}.{name}" if path else name
        required = name in node.get("required", ())
        yield f"| `{field}` | {_default(value, required=required)} | {_meaning(value)} |"
        yield from _rows(field, value)
        yield from _rows(f"{field}[]", value.get("items", {}))


def _default(node: dict[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    default = node.get("default")
    return "–" if default in (None, [], {}) else f"`{json.dumps(default)}`".replace('"', "")


def _meaning(node: dict[str, Any]) -> str:
    options = " ".join(f"`{value}`" for value in node.get("enum", ()))
    return f"{node.get('description', '')} {options}".strip().replace("\n", " ").replace("|", "\\|")
