"""The CRD is a structural schema that stays within what the API server allows and people can read."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gemma_operator.api import meanings
from gemma_operator.api.conditions import ConditionType, Reason
from gemma_operator.api.crd import COLUMNS, crd, schema
from gemma_operator.api.structural import structural

ROOT = Path(__file__).parents[3]


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, value in node.get("properties", {}).items():
        yield from nodes(value, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{path}[]")


NODES = dict(nodes(schema()))
SPEC = {path: node for path, node in NODES.items() if path.startswith(".spec")}


def test_every_node_has_a_type_and_nothing_that_structural_schemas_forbid():
    for path, node in NODES.items():
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path
        assert not {"$ref", "$defs", "anyOf", "oneOf", "title", "const"} & set(node), path
        assert not ("properties" in node and "additionalProperties" in node), path


def test_every_field_is_described_and_no_unknown_field_is_kept():
    for path, node in NODES.items():
        if path and not path.endswith("[]") and not path.startswith(".metadata"):
            assert node.get("description"), path
        assert "x-kubernetes-preserve-unknown-fields" not in node or path.startswith(".status"), path


def test_what_users_write_is_bounded_so_that_rules_stay_cheap():
    for path, node in SPEC.items():
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if node.get("type") == "string" and "enum" not in node and ".annotations" not in path:
            assert "maxLength" in node or path.endswith("matchLabels[]"), path


def test_every_rule_says_what_to_do():
    rules = [rule for _, node in NODES.items() for rule in node.get("x-kubernetes-validations", ())]
    assert len(rules) > 20
    for rule in rules:
        assert rule["message"], rule
        assert "\n" not in rule["message"]


def test_defaults_are_those_of_the_models():
    spec = NODES[".spec"]["properties"]
    assert spec["model"]["default"] == "auto"
    assert spec["scaling"]["default"] == {
        "min": 1,
        "max": 4,
        "preference": "balanced",
        "mode": "operator",
        "idleBefore0": "15m",
        "drainTimeout": "5m",
    }
    assert spec["scaling"]["properties"]["max"]["default"] == 4
    assert "default" not in spec["replicas"]
    assert "default" not in spec["maxCostPerHour"]


def test_columns_read_fields_that_exist():
    for name, _, path, _, _ in COLUMNS:
        assert path in NODES or path == ".metadata.creationTimestamp", name


def test_conditions_merge_by_type():
    conditions = NODES[".status.conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert "type" in conditions["items"]["required"]


def test_scale_reads_fields_that_exist():
    scale = crd()["spec"]["versions"][0]["subresources"]["scale"]
    assert all(path in NODES for path in scale.values())


def test_a_construct_that_cannot_be_said_is_refused():
    with pytest.raises(ValueError, match="anyOf"):
        structural({"anyOf": [{"type": "string"}, {"type": "integer"}]})


def test_every_condition_and_reason_is_explained():
    explained = [reason for group in meanings.REASONS.values() for reason in group]
    assert sorted(explained) == sorted(Reason)
    assert set(meanings.CONDITIONS) == set(ConditionType)


def test_generated_files_are_up_to_date():
    check = subprocess.run([sys.executable, "hack/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
