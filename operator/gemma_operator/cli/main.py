"""kubectl-gemma: what would be decided, what runs, and what is wrong."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gemma_operator import __version__
from gemma_operator.cli import facts
from gemma_operator.cli.chat import chat
from gemma_operator.cli.completion import respond
from gemma_operator.cli.diff import differences, show_differences
from gemma_operator.cli.diffing import to_json
from gemma_operator.cli.doctor import doctor
from gemma_operator.cli.explain import explain
from gemma_operator.cli.export import export
from gemma_operator.cli.failure import CliError, NothingFits
from gemma_operator.cli.images import images
from gemma_operator.cli.live import read_cluster
from gemma_operator.cli.options import Config, ConfigFile, Context, Kubeconfig, Namespace, Nodes, Output
from gemma_operator.cli.output import Format, console, warn, write
from gemma_operator.cli.planning import plan_all
from gemma_operator.cli.session import current_namespace
from gemma_operator.cli.show import show
from gemma_operator.cli.simulate import simulate
from gemma_operator.cli.source import all_gemma_deployments, catalog_for, configuration, read_dump
from gemma_operator.cli.status import status
from gemma_operator.cli.upgrade import upgrade
from gemma_operator.planner.serialize import plan_to_json


class _Group(TyperGroup):
    """Exit codes: 0 done, 1 error (wrong usage too), 2 no plan fits."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except NothingFits:
            raise
        except CliError as error:
            warn(f"error: {error}")
            raise SystemExit(1) from None
        except SystemExit as done:
            raise SystemExit(1 if done.code == 2 else done.code) from None


app = typer.Typer(
    cls=_Group,
    name="kubectl-gemma",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        version()
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Plan Gemma 4 on the GPUs of a cluster. plan, simulate, models, accelerators and memory need no cluster."""


@app.command()
def plan(
    filename: Annotated[
        list[Path],
        typer.Option("--filename", "-f", help="File with GemmaDeployments; - for standard input; may be repeated."),
    ],
    nodes: Nodes = None,
    config: Config = None,
    namespace: Namespace = None,
    output: Output = Format.table,
    everything: Annotated[bool, typer.Option("--all", help="Show every rejected candidate.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change against what runs.")] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show what the operator would run for GemmaDeployments, why, and why nothing else. Exit code 2: nothing fits."""
    if diff and nodes is not None:
        raise CliError("--diff compares with the live cluster, and a dump holds no plan that runs: leave out --nodes")
    where = namespace or ("default" if nodes else current_namespace(kubeconfig, context))
    wanted = all_gemma_deployments(filename, namespace=where)
    spaces = {each.namespace for each in wanted}
    cluster = read_dump(nodes) if nodes else read_cluster(kubeconfig=kubeconfig, context=context, namespaces=spaces)
    for note in cluster.notes:
        warn(f"note: {note}")
    settings = configuration(config, found=cluster.config)
    catalog = catalog_for(settings)
    planned = plan_all(wanted, cluster=cluster, catalog=catalog, config=settings)
    results: list[dict[str, Any]]
    if diff:
        found = differences(planned, catalog=catalog, config=settings, kubeconfig=kubeconfig, context=context)
        planned, results = [each.planned for each in found], [to_json(each) for each in found]
    else:
        names = [{"namespace": each.wanted.namespace, "name": each.wanted.name} for each in planned]
        results = [name | plan_to_json(each.plan) for name, each in zip(names, planned, strict=True)]
    if output is not Format.table:
        write(results[0] if len(results) == 1 else {"items": results}, form=output)
    elif diff:
        show_differences(found, console())
    else:
        show(planned, console(), everything=everything)
    if any(not each.plan.pools for each in planned):
        raise NothingFits


@app.command()
def dump(
    output: Output = Format.json,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Of several operators, the one that watches this namespace."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A configuration to write instead of that of the cluster.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Write what the planner reads of the cluster, for `plan --nodes`: no environment, no secret."""
    spaces = [namespace or current_namespace(kubeconfig, context)]
    instead = "let one make the dump"
    cluster = read_cluster(kubeconfig=kubeconfig, context=context, namespaces=spaces, instead=instead)
    for note in cluster.notes:
        warn(f"note: {note}")
    body = cluster.to_json()
    if config is not None:
        body["config"] = configuration(config).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    write(body, form=Format.json if output is Format.table else output)


@app.command()
def memory(
    model: Annotated[str, typer.Option("--model", help="Models separated by commas, or all.")] = "all",
    tp: Annotated[str, typer.Option("--tp", help="GPUs per replica, separated by commas.")] = "1",
    kv_dtype: Annotated[str, typer.Option("--kv-dtype", help="bf16, fp8, or both.")] = "bf16",
    max_num_batched_tokens: Annotated[str, typer.Option("--max-num-batched-tokens")] = "4096",
    batches_in_flight: Annotated[
        str, typer.Option("--batches-in-flight", help="2 with async scheduling, vLLM's default; 1 without.")
    ] = "2",
    context: Annotated[str, typer.Option("--context", help="Lengths in tokens, separated by commas.")] = "8192",
    block_size: Annotated[int, typer.Option("--block-size", min=16, max=256, help="Tokens per block.")] = 16,
    output: Output = Format.table,
) -> None:
    """KV cache that vLLM 0.32 reserves for one sequence on each GPU, to the byte."""
    rows = facts.memory_rows(
        models=model,
        tp=tp,
        kv_dtypes=kv_dtype,
        batched=max_num_batched_tokens,
        batches=batches_in_flight,
        contexts=context,
        block_size=block_size,
    )
    if output is Format.table:
        console().print(facts.memory_table(rows))
    else:
        write(rows, form=output)


@app.command()
def models(output: Output = Format.table) -> None:
    """Models of the family and their checkpoints."""
    catalog = catalog_for(configuration(None))
    if output is Format.table:
        facts.show_models(catalog, console())
    else:
        write(facts.models_json(catalog), form=output)


@app.command()
def accelerators(output: Output = Format.table, config: ConfigFile = None) -> None:
    """The hardware table, with marks on what was inferred."""
    catalog = catalog_for(configuration(config))
    if output is Format.table:
        facts.show_accelerators(catalog, console())
    else:
        write(facts.accelerators_json(catalog), form=output)


app.command()(chat)
app.command()(doctor)
app.command()(explain)
app.command()(export)
app.command()(images)
app.command()(simulate)
app.command()(status)
app.command()(upgrade)


@app.command()
def version() -> None:
    """Print the version of this command."""
    typer.echo(f"kubectl-gemma {__version__}")


def main() -> None:
    """Run the command line of this process."""
    app(sys.argv[1:])


def complete() -> None:
    """Console script `kubectl_complete-gemma`, which kubectl asks for candidates."""
    respond(sys.argv[1:], run=app)


if __name__ == "__main__":
    main()
