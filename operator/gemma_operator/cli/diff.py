"""`kubectl gemma plan --diff`: read what runs, and print what would change."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.errors import ApiError
from gemma_operator.catalog.types import Catalog
from gemma_operator.cli.diffing import Difference, Field, Running, difference
from gemma_operator.cli.output import table
from gemma_operator.cli.planning import Planned
from gemma_operator.cli.session import Session, denied, run, session
from gemma_operator.cli.whatif import ask_of
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS
from gemma_operator.planner.text import GIB

_BYTES = ("memory.", "resources.memoryBytes", "resources.ephemeralBytes", "resources.shmBytes", "weightsBytes")


def differences(
    planned: Sequence[Planned],
    *,
    catalog: Catalog,
    config: OperatorConfig,
    kubeconfig: str | None,
    context: str | None,
) -> list[Difference]:
    """What each plan would change in the live cluster."""

    async def work() -> list[Running]:
        async with session(kubeconfig=kubeconfig, context=context, namespace="default") as here:
            return [await _running(here, each) for each in planned]

    found = run(work())
    return [
        difference(each, ask_of(each, catalog=catalog, config=config), running)
        for each, running in zip(planned, found, strict=True)
    ]


async def _running(here: Session, planned: Planned) -> Running:
    namespace, name = planned.wanted.namespace, planned.wanted.name
    try:
        obj = await here.client.get(GEMMA_DEPLOYMENTS, name=name, namespace=namespace)
        pool = names.pool_deployment(deployment=name, pool=0)
        deployment = await here.client.get(DEPLOYMENTS, name=pool, namespace=namespace)
    except ApiError as error:
        raise denied(error, what=f"GemmaDeployment and Deployment of {namespace}/{name}") from None
    return Running(obj=obj, deployment=deployment)


def show_differences(found: Sequence[Difference], out: Console) -> None:
    """Print differences one after the other."""
    for number, each in enumerate(found):
        if number:
            out.print()
        wanted = each.planned.wanted
        out.print(
            f"[bold]{escape(wanted.namespace)}/{escape(wanted.name)}[/bold]: {escape(each.verdict)}", soft_wrap=True
        )
        if not each.planned.plan.pools and each.planned.plan.next_step:
            out.print(f"  Next: {escape(each.planned.plan.next_step)}", soft_wrap=True)
        if each.fields:
            rows = table("FIELD", "RUNS", "WOULD RUN")
            for one in each.fields:
                rows.add_row(one.name, _value(one, one.before), _value(one, one.after))
            out.print()
            out.print(rows)
        if each.manifest:
            out.print()
            for line in each.manifest.splitlines():
                style = "green" if line.startswith("+") else "red" if line.startswith("-") else ""
                out.print(Text(line, style=style), soft_wrap=True)


def _value(field: Field, value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, int) and field.name.startswith(_BYTES):
        return f"{value / GIB:.2f} GiB"
    return escape(str(value))
