"""The table of a chart's values: every value is in it, with its default and its comment."""

from pathlib import Path

import pytest
import yaml
from chartreadme import BEGIN, END, UndocumentedValueError, documented, with_values

ROOT = Path(__file__).parents[3]
VALUES = """
# A part.
part:
  # Whether.
  enabled: true
  # Several | more
  # lines.
  list:
    - a: 1
      b: 2
# Whole.
whole:
  requests:
    cpu: 1
"""


def test_a_value_is_a_row_with_its_default_and_its_comment():
    found = {value.path: (value.default, value.comment) for value in documented(VALUES)}
    assert found == {
        "part": ("", "A part."),
        "part.enabled": ("true", "Whether."),
        "part.list": ('[{"a": 1, "b": 2}]', "Several | more lines."),
        "whole": ('{"requests": {"cpu": 1}}', "Whole."),
    }


@pytest.mark.parametrize("line", ["  # Whether.\n", "# Whole.\n"])
def test_a_value_without_a_comment_is_an_error(line):
    with pytest.raises(UndocumentedValueError, match="no comment"):
        list(documented(VALUES.replace(line, "")))


def test_the_text_around_the_table_stays():
    text = with_values(f"before\n{BEGIN}old\n{END}after\n", VALUES)
    assert text.startswith(f"before\n{BEGIN}| value |")
    assert text.endswith(f"{END}after\n")
    assert "old" not in text
    assert "Several \\| more lines." in text
    assert with_values(text, VALUES) == text


@pytest.mark.parametrize("missing", [BEGIN, END])
def test_a_missing_mark_is_named(missing):
    with pytest.raises(ValueError, match=missing[5:20]):
        with_values(f"{BEGIN}{END}".replace(missing, ""), VALUES)


@pytest.mark.parametrize("chart", sorted(path.parent.name for path in ROOT.glob("charts/*/values.yaml")))
def test_every_value_of_a_chart_is_documented(chart):
    text = (ROOT / "charts" / chart / "values.yaml").read_text()
    rows = {value.path for value in documented(text)}
    for name in yaml.safe_load(text):
        assert name in rows or any(row.startswith(f"{name}.") for row in rows)
