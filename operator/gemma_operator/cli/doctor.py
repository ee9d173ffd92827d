"""`kubectl gemma doctor`: what of a cluster would keep a GemmaDeployment from running, and what to do."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from gemma_operator.api.errors import ConfigurationError
from gemma_operator.cli.checkup import checkup
from gemma_operator.cli.failure import CliError, NoCluster
from gemma_operator.cli.findings import Check, Result
from gemma_operator.cli.options import Config, Context, Kubeconfig, Namespace, Output
from gemma_operator.cli.output import Format, console, warn, write
from gemma_operator.cli.session import current_namespace, run, session
from gemma_operator.cli.source import catalog_for, configuration
from gemma_operator.cli.surroundings import Surroundings, read

_STYLES: Final = {Result.OK: "green", Result.WARN: "yellow", Result.FAIL: "bold red"}


def doctor(
    namespace: Namespace = None,
    config: Config = None,
    output: Output = Format.table,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Check cluster and namespace: each finding with a remedy. Exit code 1: something fails."""

    async def work() -> Surroundings:
        async with session(kubeconfig=kubeconfig, context=context, namespace=namespace) as here:
            return await read(here)

    try:
        seen = run(work())
    except NoCluster as error:
        away = Check(name="API server", result=Result.FAIL, message=error.problem, remedy=error.remedy)
        _print([away], namespace=namespace or current_namespace(kubeconfig, context), output=output)
        raise SystemExit(1) from None
    if seen.config_note:
        warn(f"note: {seen.config_note}; --config names another")
    settings = configuration(config, found=seen.config)
    try:
        found = checkup(seen, catalog=catalog_for(settings), config=settings)
    except ConfigurationError as error:
        raise CliError(str(error)) from None
    _print(found, namespace=seen.namespace, output=output)
    if any(each.result is Result.FAIL for each in found):
        raise SystemExit(1)


def _print(found: Sequence[Check], *, namespace: str, output: Format) -> None:
    if output is Format.table:
        _show(found, console())
        return
    items = [
        {"check": each.name, "result": each.result.value, "message": each.message, "remedy": each.remedy}
        for each in found
    ]
    write({"namespace": namespace, "checks": items}, form=output)


def _show(found: Sequence[Check], out: Console) -> None:
    width = max(len(each.name) for each in found)
    for each in found:
        result = (f"{each.result.value:<4}", _STYLES[each.result])
        out.print(Text.assemble(result, f"  {each.name:<{width}}  {each.message}"), soft_wrap=True)
        if each.remedy:
            out.print(Text(f"      {'':<{width}}  → {each.remedy}"), soft_wrap=True)
