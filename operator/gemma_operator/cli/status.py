"""`kubectl gemma status`: what runs, what waits, what it costs, what is wrong and what to do."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
import yaml
from rich.console import RenderableType
from rich.live import Live

from gemma_operator.api import names
from gemma_operator.api.errors import ApiError, Transient
from gemma_operator.cli.completion import deployment_names
from gemma_operator.cli.failure import CliError
from gemma_operator.cli.options import Context, Kubeconfig, Namespace, Output
from gemma_operator.cli.output import Format, console, warn, write
from gemma_operator.cli.screen import line, overview, screen
from gemma_operator.cli.session import Session, run, session
from gemma_operator.cli.view import View, to_json, view
from gemma_operator.cluster.resources import PODS, Object

_FASTEST: Final = 0.5


def status(
    name: Annotated[
        str | None, typer.Argument(help="A GemmaDeployment; unset: a table of all.", autocompletion=deployment_names)
    ] = None,
    namespace: Namespace = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Go on: refreshed in place on a terminal, a line per change in a pipe."),
    ] = False,
    interval: Annotated[float, typer.Option("--interval", min=_FASTEST, help="Seconds between looks.")] = 2.0,
    output: Output = Format.table,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show GemmaDeployments: plan, replicas, queue, start-ups, cost, decisions, what is wrong and what to do."""
    if name and everywhere:
        raise CliError("give a name or --all-namespaces, not both: -n names the namespace of one GemmaDeployment")
    shown = _Shown(name=name, everywhere=everywhere, output=output)

    async def work() -> None:
        async with session(kubeconfig=kubeconfig, context=context, namespace=namespace) as here:
            if watch:
                await _follow(here, shown, interval=interval)
            else:
                shown.once(await _views(here, name=name, everywhere=everywhere), namespace=here.namespace)

    # Ctrl-C is how a watch ends.
    with contextlib.suppress(KeyboardInterrupt):
        run(work())


async def _views(here: Session, *, name: str | None, everywhere: bool) -> list[View]:
    if name is None:
        return [view(obj) for obj in await here.deployments(None if everywhere else here.namespace)]
    return [view(await here.deployment(name), pods=await _pods(here, name))]


async def _pods(here: Session, name: str) -> list[Object]:
    """Engine pods of a deployment; a person who may not list pods sees everything else."""
    try:
        pods, _ = await here.client.list(PODS, namespace=here.namespace, labels=f"{names.DEPLOYMENT_LABEL}={name}")
    except ApiError as error:
        if error.status != 403:
            raise
        warn(f"note: replicas are left out: you may not list pods in namespace {here.namespace}")
        return []
    return pods


class _Shown:
    """How the views are printed."""

    def __init__(self, *, name: str | None, everywhere: bool, output: Format) -> None:
        self.name, self.everywhere, self.output = name, everywhere, output
        self._known: dict[tuple[str, str], Any] = {}

    def once(self, views: list[View], *, namespace: str) -> None:
        """Print and be done."""
        if self.output is not Format.table:
            bodies = [to_json(each, whole=self.name is not None) for each in views]
            write(bodies[0] if self.name is not None else {"items": bodies}, form=self.output)
        elif not views:
            where = "this cluster" if self.everywhere else f"namespace {namespace}"
            warn(f"no GemmaDeployment in {where}: kubectl apply -f FILE makes one; -A shows all namespaces")
        else:
            console().print(self.picture(views))
            old = [f"{each.namespace}/{each.name}" for each in views if each.status.outdated]
            if old and self.name is None:
                warn(f"note: an older version runs in {', '.join(old)}: kubectl gemma upgrade --all --dry-run")

    def picture(self, views: list[View]) -> RenderableType:
        """What a terminal shows."""
        if self.name is None:
            return overview(views, namespaces=self.everywhere)
        return screen(views[0], now=datetime.now(UTC))

    def changes(self, views: list[View], write: Callable[[str], object]) -> None:
        """Write what is new since the last call: a line for people, a document for programs."""
        found: dict[tuple[str, str], Any] = {}
        for each in views:
            key = (each.namespace, each.name)
            body = to_json(each, whole=self.name is not None)
            found[key] = line(each) if self.output is Format.table else body
            if self._known.get(key) != found[key]:
                write(self._document(found[key]))
        for key in self._known.keys() - found.keys():
            gone = {"namespace": key[0], "name": key[1], "phase": "Deleted"}
            write(self._document(f"{key[0]}/{key[1]} phase=Deleted" if self.output is Format.table else gone))
        self._known = found

    def _document(self, value: Any) -> str:
        match self.output:
            case Format.table:
                return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {value}\n"
            case Format.json:
                return json.dumps(value, ensure_ascii=False) + "\n"
            case Format.yaml:
                return "---\n" + yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


async def _follow(here: Session, shown: _Shown, *, interval: float) -> None:
    if shown.output is Format.table and sys.stdout.isatty():
        with Live(console=console(), auto_refresh=False) as live:
            async for views in _looks(here, shown, interval=interval):
                live.update(shown.picture(views), refresh=True)
        return
    async for views in _looks(here, shown, interval=interval):
        shown.changes(views, sys.stdout.write)
        sys.stdout.flush()


async def _looks(here: Session, shown: _Shown, *, interval: float) -> AsyncIterator[list[View]]:
    """What there is, again and again; an API server that is away for a moment ends nothing."""
    away = False
    while True:
        try:
            yield await _views(here, name=shown.name, everywhere=shown.everywhere)
            away = False
        except Transient as error:
            if not away:
                warn(f"note: {error}; trying again")
            away = True
        await asyncio.sleep(interval)
