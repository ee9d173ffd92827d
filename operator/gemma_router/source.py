"""The package's own source text, for the ConfigMap from which the proxy loads it."""

from __future__ import annotations

from importlib.resources import files as resources


def files() -> dict[str, str]:
    """Return file name → text of every module, sorted by name.

    The package is flat on purpose: the keys of a ConfigMap have no directories.
    """
    modules = (entry for entry in resources(__package__).iterdir() if entry.name.endswith(".py"))
    return {entry.name: entry.read_text(encoding="utf-8") for entry in sorted(modules, key=lambda e: e.name)}
