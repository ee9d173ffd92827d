"""`make table` runs every cell again, so that what is written is what this tree gives."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import simulation_table as figures

CELL = figures.Cell("code", 180, "wva", 1)
OLD = {str(CELL): {"interrupted": -1}}
Make = Callable[..., dict[str, dict[str, float]]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """`make("--missing")`: the figures of a table of one cell, written before, after the script has run."""

    def run(*arguments: str) -> dict[str, dict[str, float]]:
        written = tmp_path / "figures.json"
        written.write_text(json.dumps(OLD))
        monkeypatch.setattr(figures, "FIGURES", written)
        monkeypatch.setattr(figures, "PAGE", tmp_path / "page.md")
        monkeypatch.setattr(figures, "cells", lambda: iter([CELL]))
        monkeypatch.setattr(figures, "page", lambda found: f"{len(found)} cell\n")
        monkeypatch.setattr(sys, "argv", ["simulation_table.py", *arguments])
        figures.main()
        assert (tmp_path / "page.md").read_text() == "1 cell\n"
        return dict(json.loads(written.read_text()))

    return run


def test_a_cell_that_is_written_is_run_again(make: Make) -> None:
    assert make() == {str(CELL): figures.run(CELL)}


def test_only_what_is_missing_is_run_where_it_is_asked_for(make: Make) -> None:
    assert make("--missing") == OLD
