"""What `kubectl gemma plan` says of each example on its fleet, kept to be read. `--update` writes it anew.

.venv/bin/python -m tests.unit.examples.golden --update
"""

import re
import sys
from pathlib import Path

from gemma_operator.cli.main import app
from typer.testing import CliRunner, Result

DIRECTORY = Path(__file__).parent / "golden"
EXAMPLES = Path(__file__).parents[3] / "examples"
_LINK = r"\[[^]]+\]\(([^)]+)\)"


def fleets() -> dict[str, str]:
    """File of an example → file of the fleet that it is meant for, as the table of examples/README.md has them."""
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(rf"^\| {_LINK} \|.*\| {_LINK} \|$", readme, flags=re.MULTILINE))


def planned(example: str, *options: str) -> Result:
    """The finished command for one example."""
    command = ["plan", "-f", str(EXAMPLES / example), "--nodes", str(EXAMPLES / fleets()[example]), *options]
    return CliRunner().invoke(app, command)


def text(result: Result) -> str:
    """What it printed, without the blanks with which tables fill their lines."""
    return "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())


def path(example: str) -> Path:
    """The kept output of an example."""
    return DIRECTORY / Path(example).with_suffix(".txt")


def main() -> int:
    """Write the files with `--update`; else say how."""
    if sys.argv[1:] != ["--update"]:
        print(__doc__, file=sys.stderr)
        return 1
    wanted = {path(example): text(planned(example)) for example in fleets()}
    for left_over in {file for file in DIRECTORY.rglob("*.txt") if file not in wanted}:
        left_over.unlink()
    for file, content in wanted.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        print(f"wrote {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
