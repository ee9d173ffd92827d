"""Default runtime of the container engine on hosts without CAP_SYS_RESOURCE.

There a privileged container dies with "unable to apply caps: operation not permitted": the engine asks for every
capability. This takes what the host cannot give out of the request and hands over to runc.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

CAPABILITY = "CAP_SYS_RESOURCE"


def without_sys_resource(process: dict[str, Any]) -> dict[str, Any]:
    """Return an OCI process without the capability and without what only it allows to set."""
    trimmed = {key: value for key, value in process.items() if key not in ("rlimits", "oomScoreAdj")}
    sets = process.get("capabilities") or {}
    trimmed["capabilities"] = {name: [cap for cap in caps if cap != CAPABILITY] for name, caps in sets.items()}
    return trimmed


def argument(arguments: list[str], *names: str) -> str | None:
    """Return the value of a flag, given as `--flag value` or `--flag=value`."""
    for position, text in enumerate(arguments):
        flag, equals, value = text.partition("=")
        if flag in names:
            return value if equals else arguments[position + 1]
    return None


def main(arguments: list[str]) -> None:
    """Rewrite the files that the arguments name, then become runc."""
    bundle = argument(arguments, "--bundle", "-b")
    if bundle and (config := Path(bundle) / "config.json").exists():
        spec = json.loads(config.read_text())
        spec["process"] = without_sys_resource(spec.get("process") or {})
        config.write_text(json.dumps(spec))
    process = argument(arguments, "--process", "-p")
    if process and Path(process).exists():
        Path(process).write_text(json.dumps(without_sys_resource(json.loads(Path(process).read_text()))))
    os.execvp("runc", ["runc", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
