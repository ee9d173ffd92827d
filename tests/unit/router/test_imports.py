"""A module that cannot be imported is tried once."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from gemma_router.imports import fail_at_once


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_what_fails_is_not_run_again(folder: Path) -> None:
    (folder / "lacking.py").write_text(
        "import builtins\n"
        "builtins.lacking_runs = getattr(builtins, 'lacking_runs', 0) + 1\n"
        "import a_package_that_does_not_exist\n"
    )
    import builtins

    fail_at_once("lacking")
    for _ in range(3):
        with pytest.raises(ImportError):
            importlib.import_module("lacking")
    assert vars(builtins).pop("lacking_runs") == 1
    del sys.modules["lacking"]


def test_what_can_be_imported_stays(folder: Path) -> None:
    (folder / "present.py").write_text("value = 1\n")
    fail_at_once("present")
    assert importlib.import_module("present").value == 1
    del sys.modules["present"]
