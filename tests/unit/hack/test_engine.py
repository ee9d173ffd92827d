"""Pid files of a killed engine do not keep the next one from starting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from localk8s import engine


def own_name() -> str:
    """Return the name that the kernel knows this process by."""
    return Path("/proc/self/comm").read_text().strip()


@pytest.mark.parametrize(
    ("text", "name", "stays"),
    [
        (str(os.getpid()), own_name(), True),
        (str(os.getpid()), "dockerd", False),
        ("4194304999", "dockerd", False),
        ("", "dockerd", False),
    ],
)
def test_only_a_living_engine_keeps_its_pid_file(tmp_path: Path, text: str, name: str, stays: bool) -> None:
    file = tmp_path / "docker.pid"
    file.write_text(text)
    engine.remove_stale(file, name)
    assert file.exists() == stays


def test_no_pid_file_is_no_problem(tmp_path: Path) -> None:
    engine.remove_stale(tmp_path / "docker.pid", "dockerd")


def test_the_runtime_wrapper_outlives_the_clone_that_wrote_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone, kept, tools = tmp_path / "clone", tmp_path / "kept", tmp_path / "tools"
    for folder in (clone, kept, tools):
        folder.mkdir()
    (clone / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(clone / "python"))
    wrapper = engine.write_wrapper(kept)
    (clone / "python").unlink()
    (tools / "runc").write_text('#!/bin/sh\necho "runc $*"\n')
    (tools / "runc").chmod(0o755)
    done = subprocess.run(
        [wrapper, "state", "one"], env={"PATH": str(tools)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "runc state one\n"
