"""Imports that LiteLLM tries again for every request although they cannot succeed."""

from __future__ import annotations

import importlib
import sys

OPTIONAL = ("litellm.integrations.otel.logger",)
"""Needs OpenTelemetry, which LiteLLM does not bring along; its authentication imports it (1.108.7)."""


def fail_at_once(name: str) -> None:
    """Have later imports of `name` fail without a search, if it cannot be imported now.

    Python remembers modules, not failures: it finds, reads and runs the file each time, 2 ms for each request.
    """
    try:
        importlib.import_module(name)
    except ImportError:
        # None is Python's own mark for a module that must not be imported.
        sys.modules[name] = None  # type: ignore[assignment]  # typeshed knows modules alone
