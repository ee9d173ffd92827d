"""The ring of client keys: what is read, when it is read again, and what never matches."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from gemma_router.keys import KeyRing, same_key

KEY_A, KEY_B = "a" * 32, "b" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_has_a_name_and_white_space_around_it_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "default").write_text(f"  {KEY_A}\n")
    (tmp_path / "team").write_text(KEY_B)
    ring = KeyRing(tmp_path)
    assert ring.client(KEY_A) == "default"
    assert ring.client(KEY_B) == "team"
    assert ring.client("c" * 32) is None
    assert ring.client("") is None
    assert ring.client("default") is None


def test_kubelets_own_entries_are_no_keys(tmp_path: Path) -> None:
    dated = tmp_path / "..2026_11_25"
    dated.mkdir()
    (dated / "default").write_text(KEY_A)
    (tmp_path / "..data").symlink_to(dated.name)
    (tmp_path / "default").symlink_to("..data/default")
    assert KeyRing(tmp_path).client(KEY_A) == "default"


def test_files_are_looked_at_once_a_second(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "default").write_text(KEY_A)
    ring = KeyRing(tmp_path, clock=clock)
    assert ring.client(KEY_A) == "default"
    (tmp_path / "default").unlink()
    (tmp_path / "new").write_text(KEY_B)
    clock.now = 0.9
    assert ring.client(KEY_A) == "default"
    clock.now = 1.0
    assert ring.client(KEY_A) is None
    assert ring.client(KEY_B) == "new"


def test_a_directory_that_is_gone_has_no_keys(tmp_path: Path) -> None:
    clock = Clock()
    directory = tmp_path / "keys"
    directory.mkdir()
    (directory / "default").write_text(KEY_A)
    ring = KeyRing(directory, clock=clock)
    assert ring.client(KEY_A) == "default"
    (directory / "default").unlink()
    directory.rmdir()
    clock.now = 2.0
    assert ring.client(KEY_A) is None


def test_a_swap_in_the_middle_keeps_what_is_known_and_looks_again(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "default").write_text(KEY_A)
    ring = KeyRing(tmp_path, clock=clock)
    assert ring.client(KEY_A) == "default"
    (tmp_path / "dangling").symlink_to("..data/not-there-yet")
    clock.now = 2.0
    assert ring.client(KEY_A) == "default"
    (tmp_path / "dangling").unlink()
    (tmp_path / "default").write_text(KEY_B)
    assert ring.client(KEY_A) is None


def test_short_and_double_keys_are_ignored_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="gemma_router")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "short").write_text("guess-me")
    (tmp_path / "one").write_text(KEY_A)
    (tmp_path / "two").write_text(KEY_A)
    ring = KeyRing(tmp_path)
    assert ring.client("") is None
    assert ring.client("guess-me") is None
    assert ring.client(KEY_A) == "one"
    assert "'empty' is ignored: it has 0 characters" in caplog.text
    assert "'short' is ignored: it has 8 characters" in caplog.text
    assert "'two' is ignored: it is the key of 'one' too" in caplog.text
    assert "guess-me" not in caplog.text
    assert KEY_A not in caplog.text


def test_an_empty_expected_key_equals_nothing() -> None:
    assert same_key(KEY_A, KEY_A)
    assert not same_key(KEY_A, KEY_B)
    assert not same_key("", "")
