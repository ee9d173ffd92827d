"""What is built is not built again until its pin changes; missing tools are named."""

from pathlib import Path

import pytest
from localk8s import binaries, gomod
from localk8s.console import LocalError
from localk8s.pins import Command, Module


def command(version: str = "v1.0.0", *, tags: tuple[str, ...] = ()) -> Command:
    module = Module(name="m", path="example.org/m", version=version, tags=tags)
    return Command(name="tool", module=module, package="example.org/m/cmd/tool", sets=frozenset({"node"}), seconds=1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one built command, on a machine without Go."""
    monkeypatch.setenv("GEMMA_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing-here"))
    built = tmp_path / "bin" / "tool-v1.0.0"
    built.parent.mkdir()
    built.write_text("binary")
    built.with_name(built.name + ".stamp").write_text(gomod.stamp(command()))
    return tmp_path


def test_a_built_command_needs_no_go(folder: Path) -> None:
    assert binaries.build([command()]) == [folder / "bin" / "tool-v1.0.0"]


@pytest.mark.parametrize("changed", [command("v1.0.1"), command(tags=("small",))])
def test_a_changed_pin_is_built_again(folder: Path, changed: Command) -> None:
    with pytest.raises(LocalError, match=r"Go is missing: install Go 1\.\d+ or newer"):
        binaries.build([changed])


def test_an_interrupted_build_is_done_again(folder: Path) -> None:
    (folder / "bin" / "tool-v1.0.0.stamp").unlink()
    with pytest.raises(LocalError, match="Go is missing"):
        binaries.build([command()])
