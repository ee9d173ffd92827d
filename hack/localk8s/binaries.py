"""Builds the pinned commands from Go modules, once each, into the cache."""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from localk8s import gomod, paths, pins
from localk8s.console import LocalError, lock, output, run, step
from localk8s.pins import Command, Module


def path(name: str) -> Path:
    """Return a built command, building it first if its pin changed or it is missing."""
    command = pins.load().command(name)
    file = _file(command)
    if not _is_current(command, file):
        build([command])
    return file


def build(commands: Iterable[Command]) -> list[Path]:
    """Build what is not built yet, one after the other. Raises LocalError when Go is missing or too old."""
    wanted = list(commands)
    missing = [command for command in wanted if not _is_current(command, _file(command))]
    if missing:
        _need_go()
        for command in missing:
            # One lock per module: who needs kind need not wait for somebody's long build of Helm.
            with lock(f"build-{command.module.name}"):
                if not _is_current(command, _file(command)):
                    _build(command)
    return [_file(command) for command in wanted]


def module_folder(module: Module) -> Path:
    """Return the folder of a module's source, downloaded if needed."""
    return Path(_download(module)["Dir"])


def _file(command: Command) -> Path:
    return paths.cache("bin", command.file_name)


def _stamp_file(file: Path) -> Path:
    return file.with_name(file.name + ".stamp")


def _is_current(command: Command, file: Path) -> bool:
    stamp = _stamp_file(file)
    return file.exists() and stamp.exists() and stamp.read_text() == gomod.stamp(command)


def _need_go() -> None:
    minimum = pins.load().go_minimum
    wanted = ".".join(map(str, minimum))
    if not shutil.which("go"):
        raise LocalError(f"Go is missing: install Go {wanted} or newer and put `go` on PATH.")
    have = gomod.version_of(output(["go", "version"]))
    if have < minimum:
        raise LocalError(f"Go {'.'.join(map(str, have))} is too old: install Go {wanted} or newer.")


def _go_env() -> dict[str, str]:
    flags = os.environ.get("GOFLAGS", "")
    return {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": f"{flags} -mod=mod".strip()}


def _download(module: Module) -> dict[str, str]:
    build_folder = paths.folder("gomod", "download")
    (build_folder / "go.mod").write_text("module local/download\n")
    text = output(
        ["go", "-C", build_folder, "mod", "download", "-json", f"{module.path}@{module.version}"], env=_go_env()
    )
    found: dict[str, str] = json.loads(text)
    return found


def _prepare(module: Module) -> Path:
    """Write the go.mod that builds this module, unless it stands there already (go completes it while building)."""
    folder = paths.folder("gomod", f"{module.name}-{module.version}")
    text = gomod.render(module, Path(_download(module)["GoMod"]).read_text(encoding="utf-8"))
    origin = folder / "generated.mod"
    if not origin.exists() or origin.read_text() != text:
        (folder / "go.sum").unlink(missing_ok=True)
        (folder / "go.mod").write_text(text)
        origin.write_text(text)
    return folder


def _build(command: Command) -> None:
    module = command.module
    file = _file(command)
    with step(f"building {command.name} {module.version}", seconds=command.seconds):
        folder = _prepare(module)
        new = file.with_name(file.name + ".new")
        arguments = ["go", "build", "-trimpath", "-ldflags", " ".join(["-s", "-w", *module.ldflags]), "-o", str(new)]
        if module.tags:
            arguments += ["-tags", ",".join(module.tags)]
        run(["nice", *arguments, command.package], cwd=folder, env=_go_env(), log=f"build-{command.name}")
        new.replace(file)
        _stamp_file(file).write_text(gomod.stamp(command))
        _link(command, file)


def _link(command: Command, file: Path) -> None:
    """Let `bin/<name>` point to the version that was built last, for people who put the folder on PATH."""
    link = file.with_name(command.name)
    temporary = file.with_name(command.name + ".link")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(file.name)
    temporary.replace(link)
