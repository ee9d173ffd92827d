"""No value can change the shape of an object, and no template can be filled without all its values."""

import re
from importlib.resources import files
from typing import Any

import pytest
import yaml
from gemma_operator.render.environment import config_map, render, to_json
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

TEMPLATES = sorted(
    entry.name.removesuffix(".yaml.j2")
    for entry in (files("gemma_operator.render") / "templates").iterdir()
    if entry.name.endswith(".j2")
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
KEYS = st.text(max_size=80)
"""YAML reads no key beyond 1024 characters, and one character may be written with twelve."""
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


@given(VALUES)
def test_yaml_reads_back_what_was_written(value: object) -> None:
    assert yaml.safe_load(to_json(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        'quote " and \\ backslash',
        "- list\n- like",
        "{{ jinja }} {% raw %}",
        "*alias &anchor !tag",
        "~",
        "1e3",
        "2026-01-01",
        "no",
        "emoji 🙂 and \\ud83d written out",
        "\u2028\x85\x7f\x00",
    ],
)
def test_text_stays_text(text: str) -> None:
    values: dict[str, Any] = {"namespace": "ns", "labels": {text or "x": text}, "owners": []}
    secret = render("secret", name=text, data={"key": text}, **values)
    assert (secret["metadata"]["name"], secret["stringData"]) == (text, {"key": text})
    found = config_map(text, {"key": text}, **values)
    assert (found["metadata"]["labels"], found["data"]) == ({text or "x": text}, {"key": text})


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_value_goes_through_tojson(template: str) -> None:
    source = (files("gemma_operator.render") / "templates" / f"{template}.yaml.j2").read_text()
    expressions = re.findall(r"{{(.*?)}}", source, flags=re.DOTALL)
    assert expressions
    assert [item for item in expressions if not item.endswith("| tojson ")] == []


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_missing_value_is_an_error(template: str) -> None:
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        render(template)
