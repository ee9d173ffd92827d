import pytest

from tests.unit.planner.golden_shapes import DIRECTORY, SHAPES, golden


@pytest.mark.parametrize("name", SHAPES)
def test_the_plan_is_the_one_on_file(name):
    assert golden(name) == (DIRECTORY / f"{name}.json").read_text(encoding="utf-8")


def test_no_file_is_left_over():
    assert {path.stem for path in DIRECTORY.glob("*.json")} == set(SHAPES)
