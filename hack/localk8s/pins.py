"""The pinned versions of `hack/versions.toml`, typed."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from localk8s import paths
from localk8s.console import LocalError


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module to build commands from."""

    name: str
    path: str
    version: str
    staging: str | None = None
    """Version of the modules that this one replaces by folders of its own (Kubernetes' staging)."""
    tags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A binary that is built from a package of a module."""

    name: str
    module: Module
    package: str
    sets: frozenset[str]
    seconds: float

    @property
    def file_name(self) -> str:
        """Name of the built file: command and version."""
        return f"{self.name}-{self.module.version}"


@dataclass(frozen=True, slots=True)
class Pins:
    """All that versions.toml says."""

    go_minimum: tuple[int, ...]
    commands: tuple[Command, ...]
    tables: dict[str, Any]

    def command(self, name: str) -> Command:
        """Return one command. Raises LocalError with the known names."""
        for command in self.commands:
            if command.name == name:
                return command
        raise LocalError(
            f"{paths.VERSIONS.name} has no command {name!r}; it has: " + ", ".join(c.name for c in self.commands)
        )

    def module(self, name: str) -> Module:
        """Return one module, such as one of which no command is built. Raises LocalError with the known names."""
        known = self.tables["module"]
        if name not in known:
            raise LocalError(f"{paths.VERSIONS.name} has no module {name!r}; it has: " + ", ".join(known))
        return _module(name, known[name])

    def of_set(self, wanted: str) -> tuple[Command, ...]:
        """Return the commands of a set (`all` is every one), in build order."""
        found = tuple(c for c in self.commands if wanted == "all" or wanted in c.sets)
        if not found:
            known = sorted({name for c in self.commands for name in c.sets} | {"all"})
            raise LocalError(f"There is no set of binaries {wanted!r}; there are: {', '.join(known)}")
        return found


def parse(text: str) -> Pins:
    """Read the text of versions.toml. Raises LocalError with the table and field that is wrong."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LocalError(f"versions.toml: {error}") from error
    try:
        minimum = tuple(int(part) for part in data["go"]["minimum"].split("."))
        commands: list[Command] = []
        for name, table in data["module"].items():
            commands.extend(_commands(name, table))
    except KeyError as error:
        raise LocalError(f"versions.toml: {error.args[0]} is missing") from error
    twice = {c.name for c in commands if sum(other.name == c.name for other in commands) > 1}
    if twice:
        raise LocalError(f"versions.toml: commands that stand there twice: {', '.join(sorted(twice))}")
    return Pins(go_minimum=minimum, commands=tuple(commands), tables=data)


def _module(name: str, table: dict[str, Any]) -> Module:
    for field in ("path", "version", "commands"):
        if field not in table:
            raise LocalError(f"versions.toml: module.{name}.{field} is missing")
    return Module(
        name=name,
        path=table["path"],
        version=table["version"],
        staging=table.get("staging"),
        tags=tuple(table.get("tags", ())),
        ldflags=tuple(table.get("ldflags", ())),
    )


def _commands(name: str, table: dict[str, Any]) -> list[Command]:
    module = _module(name, table)
    found = []
    for command, row in table["commands"].items():
        if not row["package"].startswith(module.path):
            raise LocalError(
                f"versions.toml: module.{name}.commands.{command}: {row['package']} is not in {module.path}"
            )
        found.append(
            Command(
                name=command,
                module=module,
                package=row["package"],
                sets=frozenset(row["for"]),
                seconds=row.get("seconds", 0),
            )
        )
    return found


@cache
def load(path: Path = paths.VERSIONS) -> Pins:
    """Read the pins of the repository."""
    return parse(path.read_text(encoding="utf-8"))
