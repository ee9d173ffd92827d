"""The API reference as Markdown, made from the CRD."""

import json
from collections.abc import Iterator
from typing import Any

from gemma_operator.api import names
from gemma_operator.api.crd import COLUMNS, schema

_HEAD = f"""# API reference: `{names.API_VERSION}`, `{names.KIND}`

Made from the models in `operator/gemma_operator/api` by `make manifests`; do not edit.

A `{names.KIND}` (short name `{names.SHORT}`) is a planned, running and routed Gemma 4 service in a namespace. Its name
is that of a Service: lower-case letters, digits and `-`, starting with a letter, at most 40 characters; clients use it
as the model name. `kubectl explain gdep.spec --recursive` shows the same fields. `kubectl apply` refuses unknown fields
by name (`--validate=strict`, its default); a client that asks for no validation has them dropped by the API server.

The annotation `{names.PAUSED_ANNOTATION}` (any value) stops everything but status. Each new value
of `gemma4stack.dev/upgrade` asks once for engine pods as the operator would run them now (`kubectl gemma upgrade`).
"""


def reference() -> str:
    """The whole page."""
    properties = schema()["properties"]
    sections = [
        _HEAD,
        "## Spec\n",
        "\n".join(_table("spec", properties["spec"], defaults=True)),
        "\n## Answers at `kubectl apply`\n",
        "Besides types, ranges and the lists of values, the API server checks these rules:\n",
        "\n".join(_rules()),
        "\n## Status\n",
        "\n".join(_table("status", properties["status"], defaults=False)),
        "\nConditions, their reasons and events: [a page of their own](conditions.md).\n",
        "## Columns of `kubectl get gdep`\n",
        "| column | shown | field | meaning |\n| --- | --- | --- | --- |",
        "\n".join(
            f"| {name.upper()} | {'with `-o wide`' if priority else 'always'} | `{path}` | {meaning} |"
            for name, _, path, meaning, priority in COLUMNS
        ),
    ]
    return "\n".join(sections) + "\n"


def _table(path: str, node: dict[str, Any], *, defaults: bool) -> Iterator[str]:
    yield "| field | type | default | meaning |" if defaults else "| field | type | meaning |"
    yield "| --- | --- | --- | --- |" if defaults else "| --- | --- | --- |"
    for field, value in _fields(path, node):
        default = f" {_default(value)} |" if defaults else ""
        yield f"| `{field}` | {_type(value)} |{default} {_escaped(value.get('description', ''))} |"


def _fields(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in node.get("properties", {}).items():
        field = f"{path}.{name}"
        yield field, value
        yield from _fields(field, value)
        if "items" in value:
            yield from _fields(f"{field}[]", value["items"])


def _type(node: dict[str, Any]) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "quantity"
    if "enum" in node:
        return " ".join(f"`{value}`" for value in node["enum"])
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    return str(node["type"]) + _range(node)


def _range(node: dict[str, Any]) -> str:
    least, most = node.get("minimum"), node.get("maximum")
    if least is None or most is None:
        return ""
    return f", {'above ' if node.get('exclusiveMinimum') else ''}{_number(least)} to {_number(most)}"


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else str(value)


def _default(node: dict[str, Any]) -> str:
    default = node.get("default")
    return "–" if default is None or isinstance(default, dict) else f"`{json.dumps(default)}`".replace('"', "")


def _rules() -> Iterator[str]:
    root = schema()
    for path, node in (("metadata", root), *_nodes("spec", root["properties"]["spec"])):
        for rule in node.get("x-kubernetes-validations", ()):
            yield f"- `{path}{rule.get('fieldPath', '')}`: {rule['message']}"


def _nodes(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, value in node.get("properties", {}).items():
        yield from _nodes(f"{path}.{name}", value)
    if "items" in node:
        yield from _nodes(f"{path}[]", node["items"])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
