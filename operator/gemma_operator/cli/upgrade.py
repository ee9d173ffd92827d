"""`kubectl gemma upgrade`: bring engine pods to the operator's current version, one deployment after the other."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console

from gemma_operator.api import names
from gemma_operator.api.errors import ApiError, Transient
from gemma_operator.cli.completion import deployment_names
from gemma_operator.cli.diff import differences, show_differences
from gemma_operator.cli.failure import CliError
from gemma_operator.cli.live import read_cluster
from gemma_operator.cli.options import Config, Context, Kubeconfig, Namespace, Output
from gemma_operator.cli.output import Format, console, table, warn, write
from gemma_operator.cli.planning import plan_all
from gemma_operator.cli.session import AGENT, Session, denied, run, session
from gemma_operator.cli.source import catalog_for, configuration
from gemma_operator.cli.upgrading import Progress, Step, Upgrade, asking, progress, to_json, upgrades
from gemma_operator.cluster.resources import GEMMA_DEPLOYMENTS, Object

_LOOK_SECONDS: Final = 1.0
Outcomes = dict[tuple[str, str], tuple[str, str]]
"""Namespace and name → `upgraded`, `failed` or `unknown`, and what was said."""


def upgrade(
    deployments: Annotated[
        list[str] | None, typer.Argument(help="GemmaDeployments, in this order.", autocompletion=deployment_names)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of the namespace, by name.")] = False,
    namespace: Namespace = None,
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="With --all: those of all namespaces.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds in which each must be ready again.")
    ] = 3600.0,
    config: Config = None,
    output: Output = Format.table,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Bring engine pods to the operator's current templates and engine, one deployment at a time; shows them first."""
    if bool(deployments) == everything:
        raise CliError("name GemmaDeployments, or give --all; --dry-run shows what would change")
    if everywhere and not everything:
        raise CliError("--all-namespaces goes with --all: -n names the namespace of the GemmaDeployments")
    token = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    async def read() -> list[Object]:
        async with session(kubeconfig=kubeconfig, context=context, namespace=namespace) as here:
            if deployments:
                return [await here.deployment(name) for name in dict.fromkeys(deployments)]
            return await here.deployments(None if everywhere else here.namespace)

    objects = run(read())
    spaces = {obj["metadata"]["namespace"] for obj in objects}
    cluster = read_cluster(kubeconfig=kubeconfig, context=context, namespaces=spaces, instead="let one upgrade")
    for note in cluster.notes:
        warn(f"note: {note}")
    settings = configuration(config, found=cluster.config)
    catalog = catalog_for(settings)
    planned = plan_all(list(asking(objects, token=token)), cluster=cluster, catalog=catalog, config=settings)
    compared = differences(planned, catalog=catalog, config=settings, kubeconfig=kubeconfig, context=context)
    found = upgrades(objects, {(each.planned.wanted.namespace, each.planned.wanted.name): each for each in compared})
    for each in _disagreeing(objects, found):
        warn(f"note: {each}")
    if output is Format.table:
        show(found, console(), whole=dry_run)
    elif dry_run:
        write({"items": [to_json(each) for each in found]}, form=output)
    if dry_run:
        return
    outcomes: Outcomes = {}

    async def work() -> None:
        rolling = [each for each in found if each.step is Step.roll]
        async with session(kubeconfig=kubeconfig, context=context, namespace=namespace) as here:
            await roll_all(here, rolling, token=token, patience=timeout, outcomes=outcomes)

    try:
        run(work())
    except KeyboardInterrupt:
        raise CliError("stopped: the one that was asked for goes on by itself; the rest was not asked for") from None
    finally:
        if output is not Format.table:
            write({"items": [to_json(each) | {"outcome": told(each, outcomes)} for each in found]}, form=output)


def show(found: Sequence[Upgrade], out: Console, *, whole: bool) -> None:
    """The preview: a row for each, and with `whole` all fields and manifests that change."""
    rows = table("NAMESPACE", "NAME", "STEP", "WHAT")
    for each in found:
        rows.add_row(each.namespace, each.name, each.step.value, each.summary)
    out.print(rows)
    rolling = [each.difference for each in found if each.step is Step.roll and each.difference]
    if whole and rolling:
        out.print()
        show_differences(rolling, out)


def _disagreeing(objects: Sequence[Object], found: Sequence[Upgrade]) -> list[str]:
    """Where the operator's own word is another than that of this command: they are of different versions."""
    return [
        f"{each.namespace}/{each.name}: the operator says {told!r} and this command finds nothing to change: "
        "use the kubectl-gemma of the operator's version (`kubectl gemma doctor` compares them)"
        for obj, each in zip(objects, found, strict=True)
        if each.step is Step.current and (told := (obj.get("status") or {}).get("outdated"))
    ]


def told(each: Upgrade, outcomes: Outcomes) -> Object | None:
    """How the upgrade of one ended; `None`: it is not one that is rolled."""
    if each.step is not Step.roll:
        return None
    result, message = outcomes.get((each.namespace, each.name), ("notBegun", ""))
    return {"result": result, "message": message}


async def roll_all(
    here: Session, wanted: Sequence[Upgrade], *, token: str, patience: float, outcomes: Outcomes
) -> None:
    """Upgrade one after the other; raises `CliError` at the first that fails, and leaves the rest alone."""
    for number, each in enumerate(wanted):
        key = (each.namespace, each.name)
        outcomes[key] = ("unknown", "it was asked for, and goes on by itself")
        warn(f"{each.namespace}/{each.name}: upgrading ({number + 1} of {len(wanted)})")
        try:
            message = await _roll(here, each, token=token, patience=patience)
        except CliError as error:
            outcomes[key] = ("failed", str(error))
            rest = [f"{one.namespace}/{one.name}" for one in wanted[number + 1 :]]
            raise CliError(f"{error}\nnot begun: {', '.join(rest)}" if rest else str(error)) from None
        outcomes[key] = ("upgraded", message)
        warn(f"{each.namespace}/{each.name}: {message}")


async def _roll(here: Session, each: Upgrade, *, token: str, patience: float) -> str:
    where = f"{each.namespace}/{each.name}"
    body = {"metadata": {"annotations": {names.UPGRADE_ANNOTATION: token}}}
    try:
        await here.client.patch(GEMMA_DEPLOYMENTS, name=each.name, namespace=each.namespace, body=body, manager=AGENT)
    except ApiError as error:
        if error.status == 403:
            raise CliError(f"you may not change GemmaDeployment {where}: {error.detail}; ask for the right") from None
        raise
    deadline = time.monotonic() + patience
    told = ""
    while time.monotonic() < deadline:
        try:
            obj = await here.client.get(GEMMA_DEPLOYMENTS, name=each.name, namespace=each.namespace)
        except Transient as error:
            if isinstance(error, ApiError) and error.status in (403, 404):
                raise denied(error, what=f"GemmaDeployment {where}") from None
            # An API server that is away for a moment ends nothing.
            await asyncio.sleep(_LOOK_SECONDS)
            continue
        if obj is None:
            raise CliError(f"{where} was deleted meanwhile")
        state, message = progress(obj, token=token)
        if state is Progress.done:
            return message
        if state is Progress.failed:
            raise CliError(f"{where} was not upgraded: {message}")
        if message != told:
            warn(f"{where}: {message}")
            told = message
        await asyncio.sleep(_LOOK_SECONDS)
    raise CliError(
        f"{where} is not ready after {patience:.0f} s: {told or 'nothing is known of it'}; it goes on by itself, and "
        "`kubectl gemma status` tells how far it is. Where the operator has not seen it: `kubectl gemma doctor`"
    )
