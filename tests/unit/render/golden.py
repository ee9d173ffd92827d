"""Golden manifests: what each shape renders to, kept to be read. `--update` writes them anew.

.venv/bin/python -m tests.unit.render.golden --update
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from gemma_operator.render.types import Object

from tests.unit.render import builders, shapes

DIRECTORY = Path(__file__).parent / "golden"


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Readable.add_representer(str, _text)


def manifests() -> dict[str, list[Object]]:
    """Name of the file → objects in it."""
    engines = {shape.name: shape.objects() for shape in shapes.SHAPES}
    # The probe script is the same in all of them: once is enough to read.
    shown = {
        name: [item for item in objects if index == 0 or item["kind"] != "ConfigMap"]
        for index, (name, objects) in enumerate(engines.items())
    }
    return {**shown, "router": builders.router_objects(), "router-exposed": builders.exposing_objects()}


def text(objects: list[Object]) -> str:
    """The objects as a file for people."""
    return yaml.dump_all(objects, Dumper=_Readable, sort_keys=False, width=120, explicit_start=True)


def main() -> int:
    """Write the files with `--update`; else say how."""
    if sys.argv[1:] != ["--update"]:
        print(__doc__, file=sys.stderr)
        return 1
    DIRECTORY.mkdir(exist_ok=True)
    wanted = {f"{name}.yaml": text(objects) for name, objects in manifests().items()}
    for path in DIRECTORY.glob("*.yaml"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (DIRECTORY / name).write_text(content, encoding="utf-8")
        print(f"wrote {DIRECTORY / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
