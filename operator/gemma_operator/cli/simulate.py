"""`kubectl gemma simulate`: how many GPUs a trace of requests needs, and what users will feel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from gemma_router.proxy_config import HOLD_QUEUE
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gemma_operator.api.config import OperatorConfig, Provisionable
from gemma_operator.api.spec import hold_seconds, seconds
from gemma_operator.catalog.types import Catalog
from gemma_operator.cli.failure import CliError, NothingFits
from gemma_operator.cli.live import Cluster
from gemma_operator.cli.output import Format, console, table, warn, write
from gemma_operator.cli.planning import plan_all
from gemma_operator.cli.source import Wanted, catalog_for, configuration, gemma_deployments, read_dump
from gemma_operator.inventory.build import build_inventory
from gemma_operator.planner.supply import affordable, room
from gemma_operator.planner.types import Pool
from gemma_operator.scaling import Settings
from gemma_operator.simulator.estimate import profile_of
from gemma_operator.simulator.policies import POLICIES, UnknownPolicyError, make_policy
from gemma_operator.simulator.report import html
from gemma_operator.simulator.run import simulate as replay
from gemma_operator.simulator.shape import faster, thinner
from gemma_operator.simulator.table import COLUMNS, cells, to_json
from gemma_operator.simulator.traces import load_trace
from gemma_operator.simulator.types import Profile, Result, Setup, Trace

_DEFAULT_POLICIES: Final = "gemma,hpa-waiting,hpa-running-waiting,hpa-tuned,kpa,wva"
_PLENTY: Final = 1000
_SLOWEST_STEP: Final = 5.0
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Speed of a replica as the user gave it; unset: the plan's estimate."""

    step_base: float | None
    step_per_sequence: float | None
    step_per_prefill_token: float | None
    max_num_seqs: int | None
    kv_tokens: int | None
    chunk: int | None

    @property
    def complete(self) -> bool:
        """Whether nothing of it needs a plan's estimate."""
        return None not in (
            self.step_base,
            self.step_per_sequence,
            self.step_per_prefill_token,
            self.max_num_seqs,
            self.kv_tokens,
        )

    def over(self, profile: Profile) -> Profile:
        """The profile with what was given."""
        given = {
            name: value
            for name in (
                "step_base",
                "step_per_sequence",
                "step_per_prefill_token",
                "max_num_seqs",
                "kv_tokens",
                "chunk",
            )
            if (value := getattr(self, name)) is not None
        }
        return replace(profile, **given)


def simulate(
    trace: Annotated[
        Path, typer.Option("--trace", help="Requests: Azure LLM CSV, Mooncake CSV or JSON lines, or CSV.")
    ],
    filename: Annotated[
        Path, typer.Option("--file", "--filename", "-f", help="File with one GemmaDeployment; - for standard input.")
    ],
    nodes: Annotated[
        Path | None, typer.Option("--nodes", help="A dump; unset: as many GPUs of any kind as it takes.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The operator's configuration.")] = None,
    startup: Annotated[
        float, typer.Option("--startup", min=0, max=_DAY, help="Seconds that a replica takes to start.")
    ] = 180.0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of start-up jitter, --speed and --rate.")] = 1,
    policies: Annotated[str, typer.Option("--policies", help="Policies separated by commas.")] = _DEFAULT_POLICIES,
    speed: Annotated[float, typer.Option("--speed", help="Rate times this, by overlaying shifted copies.")] = 1.0,
    rate: Annotated[float, typer.Option("--rate", help="Rate times this, at most 1, by leaving requests out.")] = 1.0,
    late_binding: Annotated[
        bool, typer.Option("--late-binding", help="Let the router keep what no replica can run soon.")
    ] = False,
    metrics_interval: Annotated[
        float | None,
        typer.Option(
            "--metrics-interval", min=1, max=15, help="Seconds between two scrapes, few enough to learn from."
        ),
    ] = None,
    step_base: Annotated[float | None, typer.Option("--step-base", min=1e-6, help="Seconds of one step.")] = None,
    step_per_sequence: Annotated[
        float | None, typer.Option("--step-per-sequence", min=0, help="Seconds more for each running sequence.")
    ] = None,
    step_per_prefill_token: Annotated[
        float | None, typer.Option("--step-per-prefill-token", min=0, help="Seconds more for each prompt token.")
    ] = None,
    max_num_seqs: Annotated[int | None, typer.Option("--max-num-seqs", min=1, help="Sequences at once.")] = None,
    kv_tokens: Annotated[int | None, typer.Option("--kv-tokens", min=1, help="Tokens in the KV cache.")] = None,
    chunk: Annotated[int | None, typer.Option("--chunk", min=1, help="Prompt tokens of one step at most.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write an HTML page with plots here.")] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace where the file names none.")
    ] = "default",
    output: Annotated[Format, typer.Option("--output", "-o", help="table, json or yaml.")] = Format.table,
) -> None:
    """Replay a trace of requests through planner, scaling and a model of the engine. Exit code 2: nothing fits."""
    wanted = _one(gemma_deployments(filename, namespace=namespace), filename)
    given = Given(
        step_base=step_base,
        step_per_sequence=step_per_sequence,
        step_per_prefill_token=step_per_prefill_token,
        max_num_seqs=max_num_seqs,
        kv_tokens=kv_tokens,
        chunk=chunk,
    )
    for name, value in (
        ("--step-base", step_base),
        ("--step-per-sequence", step_per_sequence),
        ("--step-per-prefill-token", step_per_prefill_token),
    ):
        if value is not None and value > _SLOWEST_STEP:
            raise CliError(f"{name} {value:g}: give seconds, such as 0.016")
    requests = _requests(trace, speed=speed, rate=rate, seed=seed)
    cluster = read_dump(nodes) if nodes else None
    settings = configuration(config, found=cluster.config if cluster else None)
    setup, facts = _setup(wanted, cluster, settings, given)
    setup = replace(
        setup,
        startup=startup,
        hold_timeout=float(hold_seconds(wanted.spec.scaling, startup=startup)),
        seed=seed,
        late_binding=late_binding,
        metrics_interval=metrics_interval or setup.metrics_interval,
    )
    interval = metrics_interval or float(settings.scrape_seconds)
    results = _run(requests, setup, _settings(wanted, settings), policies, interval)
    if report is not None:
        facts = [*facts, f"start-up {startup:g} s, seed {seed}" + (", late binding" if late_binding else "")]
        _write_report(report, html(requests, results, facts=facts))
    if output is Format.table:
        for line in facts:
            console().print(line, markup=False)
        _show(results)
    else:
        write({"policies": {result.policy: to_json(result) for result in results}}, form=output)


def _one(wanted: Sequence[Wanted], path: Path) -> Wanted:
    if len(wanted) > 1:
        names = ", ".join(each.name for each in wanted)
        raise CliError(f"{path}: {len(wanted)} GemmaDeployments ({names}); a trace is replayed on one")
    return wanted[0]


def _requests(path: Path, *, speed: float, rate: float, seed: int) -> Trace:
    try:
        requests = thinner(faster(load_trace(path), speed, seed=seed), rate, seed=seed)
    except ValueError as error:
        raise CliError(str(error)) from None
    if not requests:
        raise CliError(f"{path}: no request left with --speed {speed:g} --rate {rate:g}: give a higher one")
    return requests


def _settings(wanted: Wanted, config: OperatorConfig) -> Settings:
    return Settings(preference=wanted.spec.scaling.preference, memory=float(config.scaling_memory_seconds))


def _setup(wanted: Wanted, cluster: Cluster | None, settings: OperatorConfig, given: Given) -> tuple[Setup, list[str]]:
    """The deployment to simulate, and lines that say what it is. Without a cluster there is any GPU."""
    scaling = wanted.spec.scaling
    setup = Setup(
        minimum=scaling.min,
        maximum=scaling.max,
        idle_before_zero=float(seconds(scaling.idle_before0)),
        drain_timeout=float(seconds(scaling.drain_timeout)),
        queue_limit=HOLD_QUEUE * settings.router.replicas,
    )
    if wanted.spec.replicas is not None:
        fixed = wanted.spec.replicas
        setup = replace(setup, minimum=fixed, maximum=fixed, initial=fixed)
    if cluster is None and given.complete and wanted.spec.max_cost_per_hour is None:
        return replace(setup, profile=given.over(Profile())), [_speed_words(given.over(Profile()))]
    catalog = catalog_for(settings)
    if cluster is None:
        settings = _anywhere(wanted, settings, catalog)
    (planned,) = plan_all([wanted], cluster=cluster or Cluster.of([]), catalog=catalog, config=settings)
    if not planned.plan.pools:
        warn(f"{planned.plan.reason}\n{planned.plan.next_step}".strip())
        raise NothingFits
    pool = planned.plan.pools[0]
    profile = given.over(profile_of(pool, catalog=catalog, concurrency=wanted.spec.concurrency))
    setup = replace(
        setup,
        profile=profile,
        supply=_supply(wanted, pool, cluster, catalog, settings) if cluster else None,
        affordable=affordable(pool=pool, spec=wanted.spec),
        cost_per_hour=pool.cost_per_hour,
    )
    words = f"{pool.model} {pool.precision} on {max(pool.gpus_per_replica, 1)}×{pool.accelerator}"
    words += f"; GPUs for {setup.supply} replicas" if setup.supply is not None else ""
    return setup, [words, _speed_words(profile) + ("" if given.complete else " (estimate)")]


def _anywhere(wanted: Wanted, config: OperatorConfig, catalog: Catalog) -> OperatorConfig:
    """Configuration with as many nodes of any accelerator as it takes, unless it says what can be added."""
    if config.provisionable:
        return config
    rows = wanted.spec.accelerators or [
        name for name, row in catalog.accelerators.items() if row.resource is not None and not row.shared
    ]
    plenty = [
        Provisionable(accelerator=row, gpus_per_node=8, nodes=_PLENTY, cpu="192", memory="2Ti", ephemeral_storage="8Ti")
        for row in rows
        if row in catalog.accelerators
    ]
    return config.model_copy(update={"provisionable": plenty})


def _supply(wanted: Wanted, pool: Pool, cluster: Cluster, catalog: Catalog, config: OperatorConfig) -> int:
    """Replicas that the GPUs of the dump allow."""
    inventory = build_inventory(
        nodes=cluster.nodes,
        pods=cluster.objects["Pod"],
        quotas=cluster.objects["ResourceQuota"],
        deployments=cluster.objects["Deployment"],
        catalog=catalog,
        config=config,
    )
    return room(pool=pool, spec=wanted.spec, namespace=wanted.namespace, name=wanted.name, inventory=inventory).total


def _speed_words(profile: Profile) -> str:
    return (
        f"a step takes {profile.step_base * 1000:.2f} ms + {profile.step_per_sequence * 1000:.3f} ms per sequence + "
        f"{profile.step_per_prefill_token * 1000:.3f} ms per prompt token; at most {profile.max_num_seqs} sequences, "
        f"{profile.kv_tokens:,} tokens of KV cache, {profile.chunk} prompt tokens per step"
    )


def _run(trace: Trace, setup: Setup, settings: Settings, policies: str, interval: float) -> list[Result]:
    names = [name.strip() for name in policies.split(",") if name.strip()]
    if not names:
        raise CliError(f"--policies: name at least one of {', '.join(POLICIES)} and static-N")
    try:
        scalers = [make_policy(name, setup, settings, interval=interval) for name in dict.fromkeys(names)]
    except UnknownPolicyError as error:
        raise CliError(f"--policies: {error}") from None
    results = []
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    people = Console(stderr=True)
    # Where nobody looks rich would still write an empty line.
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as bars:
        for scaler in scalers:
            advance = partial(_advance, bars, bars.add_task(scaler.name, total=len(trace)))
            results.append(replay(trace, setup, scaler, progress=advance))
    return results


def _advance(bars: Progress, bar: TaskID, done: int) -> None:
    bars.update(bar, completed=done)


def _show(results: Sequence[Result]) -> None:
    shown = table(*COLUMNS, right=COLUMNS[1:])
    for result in results:
        shown.add_row(*cells(result))
    console().print(shown)
    console().print(
        "IN TIME: first token within 2 s plus three times the request's own prefill; interrupted and refused requests "
        "are not. REPLICA-HOURS: from creation to the end of the drain.",
        style="dim",
    )


def _write_report(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CliError(f"--report {path}: cannot be written: {error.strerror}") from None
    warn(f"note: report written to {path}")
