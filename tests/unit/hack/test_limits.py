"""Limits are raised, never lowered."""

from pathlib import Path

from localk8s import limits


def test_a_low_limit_is_raised_and_a_high_one_is_left(tmp_path: Path) -> None:
    (tmp_path / "max_user_instances").write_text("128\n")
    (tmp_path / "max_user_watches").write_text("9999999\n")
    limits.raise_inotify(tmp_path)
    assert (tmp_path / "max_user_instances").read_text() == "1024"
    assert (tmp_path / "max_user_watches").read_text() == "9999999\n"
