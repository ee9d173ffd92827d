"""`docs/reference/cli.md`, written from the command line itself."""

from typing import Any, Final

import typer
from gemma_operator.cli.main import app

HEAD: Final = """# Command line

Made by `make manifests` from the commands themselves; do not edit. [What they are for](../cli.md).

`kubectl gemma COMMAND` and `kubectl-gemma COMMAND` are the same.

Exit codes: 0 done, 1 an error (wrong usage too), 2 no plan fits.
"""


def cli_reference() -> str:
    """Every command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = [HEAD]
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = [each for each in command.params if each.param_type_name == "option"]
        usage = " ".join([f"kubectl gemma {name}", *(_argument(each) for each in arguments), "[options]"])
        parts.append(f"## {name}\n\n{' '.join(command.help.split())}\n\n`{usage}`\n")
        rows = [f"| `{_argument(each)}` | {_cell(each.help)} | |" for each in arguments]
        rows += [f"| {_names(each)} | {_cell(each.help)} | {_default(each)} |" for each in options]
        parts.append("\n".join(["| argument or option | meaning | default |", "| --- | --- | --- |", *rows]) + "\n")
    return "\n".join(parts)


def _argument(parameter: Any) -> str:
    name = parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _names(parameter: Any) -> str:
    return ", ".join(f"`{each}`" for each in sorted(parameter.opts + parameter.secondary_opts, key=len))


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if value is None or value is False or value == "" or callable(value):
        return ""
    return f"`{getattr(value, 'value', value)}`"
