"""go.mod files and stamps for building a pinned module; pure text."""

import hashlib
import json
import re

from localk8s.console import LocalError
from localk8s.pins import Command, Module

_REPLACE_BY_FOLDER = re.compile(r"^\s*(?:replace\s+)?(\S+)\s*=>\s*\./\S+\s*$", re.MULTILINE)
_GO_LINE = re.compile(r"^go\s+(\S+)", re.MULTILINE)
_GO_VERSION = re.compile(r"\bgo(\d+(?:\.\d+)*)")


def replaced_by_folders(go_mod: str) -> list[str]:
    """Return the modules that a go.mod replaces by folders of its own repository.

    `go build` ignores the `replace` lines of a dependency, and those modules are required at v0.0.0: who builds from
    outside must name their published versions.
    """
    return sorted(set(_REPLACE_BY_FOLDER.findall(go_mod)))


def render(module: Module, upstream: str) -> str:
    """Return a go.mod that builds commands of `module`, whose own go.mod is `upstream`.

    Raises LocalError where the module needs a `staging` version that the pin does not give.
    """
    go_line = _GO_LINE.search(upstream)
    lines = [f"module local/build/{module.name}", "", f"go {go_line[1] if go_line else '1.21'}", ""]
    lines.append(f"require {module.path} {module.version}")
    replaced = replaced_by_folders(upstream)
    published = [name for name in replaced if not name.startswith(module.path + "/")]
    if published and module.staging:
        lines += ["", "replace ("]
        lines += [f"\t{name} => {name} {module.staging}" for name in published]
        lines += [")"]
    elif published and f"{published[0]} v0.0.0" in upstream:
        raise LocalError(
            f"versions.toml: module.{module.name} needs a `staging` version: its go.mod replaces {published[0]} "
            f"and {len(published) - 1} more by folders"
        )
    return "\n".join(lines) + "\n"


def stamp(command: Command) -> str:
    """Return a digest of all that decides what the binary is; another digest means: build again."""
    module = command.module
    facts = [module.path, module.version, module.staging, module.tags, module.ldflags, command.package]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def version_of(text: str) -> tuple[int, ...]:
    """Return the version that `go version` prints, as numbers. Raises LocalError when there is none."""
    found = _GO_VERSION.search(text)
    if not found:
        raise LocalError(f"`go version` printed {text.strip()!r}, which names no version")
    return tuple(int(part) for part in found[1].split("."))
