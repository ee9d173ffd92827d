"""`kubectl gemma explain`: why this plan, what was rejected and why, and what would change it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from gemma_operator.api import names
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cli.completion import deployment_names
from gemma_operator.cli.failure import CliError, NothingFits, fields
from gemma_operator.cli.live import Cluster, read_cluster
from gemma_operator.cli.options import Config, Context, Kubeconfig, Namespace, Nodes, Output
from gemma_operator.cli.output import Format, console, table, warn, write
from gemma_operator.cli.planning import Planned, plan_all
from gemma_operator.cli.session import current_namespace, run, session
from gemma_operator.cli.show import show
from gemma_operator.cli.source import Wanted, all_gemma_deployments, catalog_for, configuration, read_dump
from gemma_operator.cli.view import View, view
from gemma_operator.cli.whatif import WhatIf, ask_of, what_ifs
from gemma_operator.cluster.resources import Object
from gemma_operator.planner.serialize import plan_to_json, pool_to_json
from gemma_operator.planner.text import shape


def explain(
    name: Annotated[
        str | None,
        typer.Argument(help="A GemmaDeployment of the cluster, the dump or the file.", autocompletion=deployment_names),
    ] = None,
    filename: Annotated[
        list[Path] | None,
        typer.Option("--filename", "-f", help="File with the GemmaDeployment; - for standard input; may be repeated."),
    ] = None,
    nodes: Nodes = None,
    config: Config = None,
    namespace: Namespace = None,
    output: Output = Format.table,
    everything: Annotated[bool, typer.Option("--all", help="Show every rejected candidate.")] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show why a GemmaDeployment has its plan, and what would change it. Exit code 2: nothing fits."""
    where = namespace or ("default" if nodes else current_namespace(kubeconfig, context))
    there = _one(all_gemma_deployments(filename, namespace=where), name=name, files=filename) if filename else None
    spaces = [there.namespace if there else where]
    cluster = read_dump(nodes) if nodes else read_cluster(kubeconfig=kubeconfig, context=context, namespaces=spaces)
    for note in cluster.notes:
        warn(f"note: {note}")
    runs: View | None = None
    if there is not None:
        wanted = there
    elif name is None:
        raise CliError(
            "name a GemmaDeployment, or give a file with -f; `kubectl gemma status -A` lists those that exist"
        )
    elif nodes:
        wanted = _wanted(_in_dump(cluster, name=name, namespace=where))
    else:
        obj = run(_live(name, kubeconfig=kubeconfig, context=context, namespace=where))
        wanted, runs = _wanted(obj), view(obj)
    settings = configuration(config, found=cluster.config)
    catalog = catalog_for(settings)
    [planned] = plan_all([wanted], cluster=cluster, catalog=catalog, config=settings)
    changes = what_ifs(ask_of(planned, catalog=catalog, config=settings), now=planned.plan)
    if output is Format.table:
        _show(planned, runs, changes, console(), everything=everything)
    else:
        write(_json(planned, runs, changes), form=output)
    if not planned.plan.pools:
        raise NothingFits


async def _live(name: str, *, kubeconfig: str | None, context: str | None, namespace: str) -> Object:
    async with session(kubeconfig=kubeconfig, context=context, namespace=namespace) as here:
        found = await here.deployment(name)
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, **found}


def _in_dump(cluster: Cluster, *, name: str, namespace: str) -> Object:
    found = cluster.objects[names.KIND]
    for obj in found:
        if (obj["metadata"].get("namespace") or "default", obj["metadata"]["name"]) == (namespace, name):
            return obj
    there = ", ".join(f"{obj['metadata'].get('namespace') or 'default'}/{obj['metadata']['name']}" for obj in found)
    raise CliError(
        f"no GemmaDeployment {namespace}/{name} in the dump (there is {there or 'none'}): correct the name, choose the "
        "namespace with -n, or give the file with -f"
    )


def _wanted(obj: Object) -> Wanted:
    metadata = obj["metadata"]
    try:
        spec = GemmaDeploymentSpec.model_validate(obj.get("spec") or {})
    except ValidationError as error:
        raise CliError(f"GemmaDeployment {metadata['name']}:\n{fields(error, prefix='spec')}") from None
    return Wanted(obj=obj, spec=spec, name=metadata["name"], namespace=metadata.get("namespace") or "default")


def _one(found: Sequence[Wanted], *, name: str | None, files: Sequence[Path]) -> Wanted:
    chosen = [each for each in found if name in (None, each.name)]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(each.name for each in found)
    raise CliError(f"{' and '.join(map(str, files))} holds {there}: name one of them")


def _show(planned: Planned, runs: View | None, changes: Sequence[WhatIf], out: Console, *, everything: bool) -> None:
    show([planned], out, everything=everything)
    if runs is not None and (note := _kept(planned, runs)):
        out.print()
        out.print(escape(note), soft_wrap=True)
    out.print()
    if not changes:
        out.print("No single change of GPUs, nodes, quota or spec would give a better plan.")
        return
    rows = table("WITH", "IT WOULD RUN", "HOW")
    for each in changes:
        rows.add_row(escape(each.change), escape(each.result), escape(each.how))
    out.print(rows)


def _kept(planned: Planned, runs: View) -> str:
    """What runs, where it is not what would be chosen today."""
    if runs.status.plan is None or not runs.status.plan.pools:
        return ""
    pool = runs.status.plan.pools[0]
    mine = (pool.model, pool.precision, pool.accelerator, pool.gpus_per_replica)
    today = planned.plan.pools[0] if planned.plan.pools else None
    if today and mine == (today.model, today.precision, today.accelerator, today.gpus_per_replica):
        return ""
    return (
        f"Runs: {pool.model} {pool.precision} on {shape(pool.gpus_per_replica, pool.accelerator)}, planned when "
        f"{runs.status.plan.reason}. The operator keeps a plan while it holds; above is what it would choose today."
    )


def _json(planned: Planned, runs: View | None, changes: Sequence[WhatIf]) -> dict[str, Any]:
    running = runs.status.plan.pools[0] if runs and runs.status.plan and runs.status.plan.pools else None
    return {
        "namespace": planned.wanted.namespace,
        "name": planned.wanted.name,
        **plan_to_json(planned.plan),
        "runs": running.to_dict() if running else None,
        "changes": [
            {
                "kind": each.kind,
                "change": each.change,
                "how": each.how,
                "result": each.result,
                "pool": pool_to_json(each.pool),
            }
            for each in changes
        ],
    }
