"""`kubectl gemma status` for people: a table of all GemmaDeployments, one screen for one, one line for a pipe."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gemma_operator.api.status import Phase, PoolStatus
from gemma_operator.cli.output import table
from gemma_operator.cli.view import Finding, Replica, View, wanted
from gemma_operator.planner.text import count, money, shape, size

_DECISIONS: Final = 5
_PHASES: Final = {
    Phase.READY: "green",
    Phase.ASLEEP: "blue",
    Phase.PAUSED: "blue",
    Phase.DEGRADED: "yellow",
    Phase.STARTING: "yellow",
    Phase.UPDATING: "yellow",
    Phase.PENDING: "red",
    Phase.STALLED: "red",
}
_FINE: Final = ("Ready", "Loading", "Creating", "Draining")
"""Phases of replicas that need nobody."""


def overview(views: Sequence[View], *, namespaces: bool) -> Table:
    """All deployments, one a row; `namespaces`: with a column for them."""
    columns = ("NAME", "PHASE", "PLAN", "READY", "RUNNING", "WAITING", "HELD", "START", "USD/H", "PROBLEM")
    made = table(
        *(("NAMESPACE", *columns) if namespaces else columns), right=("RUNNING", "WAITING", "HELD", "START", "USD/H")
    )
    for column in made.columns[:-1]:
        column.no_wrap = True
    for each in views:
        cells: list[str | Text] = [escape(cell) for cell in _cells(each)]
        cells[1] = _phase(each)
        # Only the last column gives way, and to one line: a row stays a row for grep and awk.
        cells[-1] = Text(_problem(each.findings), no_wrap=True, overflow="ellipsis")
        made.add_row(*([escape(each.namespace), *cells] if namespaces else cells))
    return made


def line(each: View) -> str:
    """The row of one deployment as one line."""
    names = ("phase", "plan", "ready", "running", "waiting", "held", "start", "usd/h", "problem")
    told = [f"{key}={value}" for key, value in zip(names, _cells(each)[1:], strict=True)]
    return " ".join([f"{each.namespace}/{each.name}", *told])


def _cells(each: View) -> list[str]:
    status = each.status
    queue = [status.queue.running, status.queue.waiting, status.queue.held] if status.queue else [None] * 3
    return [
        each.name,
        each.phase,
        each.shown_plan,
        status.ready or "0/0",
        *("–" if number is None else str(number) for number in queue),
        f"{status.startup.p50_seconds} s" if status.startup else "–",
        status.cost_per_hour or "–",
        _problem(each.findings),
    ]


def _problem(findings: Sequence[Finding]) -> str:
    return f"{findings[0].reason}: {findings[0].message}" if findings else "–"


def _phase(each: View) -> Text:
    style = next((style for phase, style in _PHASES.items() if phase.value == each.phase), "")
    return Text(each.phase, style=style)


def screen(each: View, *, now: datetime) -> RenderableType:
    """Everything about one deployment."""
    return Group(*_parts(each, now))


def _parts(each: View, now: datetime) -> Iterator[RenderableType]:
    status = each.status
    head = Text.assemble((f"{each.namespace}/{each.name}", "bold"), "  ", _phase(each), f"  {each.shown_plan}")
    yield head.append(f"  {status.ready or '0/0'} replicas ready")
    yield from _wrong(each.findings)
    yield ""
    facts = table("", "")
    facts.show_header = False
    for name, text in _facts(each, now):
        facts.add_row(name, escape(text))
    yield facts
    if status.plan:
        yield ""
        yield _pools(status.plan.pools)
    if each.replicas:
        yield ""
        yield _replicas(each.replicas, now)
    if status.decisions:
        yield ""
        rows = table("DECIDED", "REPLICAS", "WHY")
        for decision in status.decisions[:_DECISIONS]:
            change = f"{decision.before} → {decision.after}"
            rows.add_row(f"{age(decision.at, now)} ago", change, escape(decision.reason))
        yield rows
    yield ""
    yield Text(f"Why this plan, and what would change it: kubectl gemma explain {each.name} -n {each.namespace}", "dim")


def _wrong(findings: Sequence[Finding]) -> Iterator[RenderableType]:
    for found in findings:
        title = f"{found.reason} ({', '.join(found.conditions)})" if found.conditions else found.reason
        yield Text.assemble(("… " if found.passing else "! "), (title, "yellow" if found.passing else "bold red"))
        yield Text(f"  {found.message}")


def _facts(each: View, now: datetime) -> Iterator[tuple[str, str]]:
    status = each.status
    if status.plan:
        yield "Plan", status.plan.reason
        for warning in status.plan.warnings:
            yield "Note", warning
    if status.outdated:
        yield "Outdated", f"{status.outdated}: kubectl gemma upgrade {each.name} -n {each.namespace} --dry-run"
    if status.endpoint:
        urls = " or ".join(filter(None, (status.endpoint.external_url, status.endpoint.url)))
        yield "Endpoint", f"{urls}, model {' or '.join(status.endpoint.models)}"
    if (queue := status.queue) is not None:
        yield (
            "Queue",
            f"{queue.running} running, {queue.waiting} waiting in engines, {queue.held} held by the router "
            f"({age(queue.at, now)} ago)",
        )
    if (startup := status.startup) is not None:
        yield (
            "Start-up",
            f"half within {startup.p50_seconds} s, nine of ten within {startup.p90_seconds} s (last "
            f"{count(startup.samples, 'start')})",
        )
    if status.cost_per_hour is not None:
        each_costs = status.plan.pools[0].cost_per_hour if status.plan and status.plan.pools else None
        one = f", {money(each_costs)} for each" if each_costs is not None else ""
        yield "Cost", f"{status.cost_per_hour} USD per hour for {count(wanted(status), 'replica')}{one}"


def _pools(pools: Sequence[PoolStatus]) -> Table:
    rows = table("POOL", "CHECKPOINT", "ENGINE", "GPUS", "SUPPLY", "CONTEXT", "AT ONCE", "KV CACHE", "TOKENS/S")
    for index, pool in enumerate(pools):
        rows.add_row(
            str(index),
            f"{escape(pool.checkpoint)} ({pool.precision})",
            f"{pool.engine} {pool.engine_version}",
            shape(pool.gpus_per_replica, pool.accelerator),
            pool.supply,
            str(pool.max_model_len),
            str(pool.max_num_seqs),
            f"{pool.kv_cache_tokens} tokens, {size(pool.memory.kv_cache)}",
            f"about {pool.decode_tokens_per_second:.0f}",
        )
    return rows


def _replicas(replicas: Sequence[Replica], now: datetime) -> Table:
    rows = table("REPLICA", "POOL", "PHASE", "NODE", "RESTARTS", "AGE", right=("RESTARTS",))
    for pod in replicas:
        style = "green" if pod.phase == "Ready" else "yellow" if pod.phase in _FINE else "red"
        rows.add_row(
            escape(pod.name),
            str(pod.pool),
            Text(pod.phase, style=style),
            escape(pod.node or "–"),
            str(pod.restarts),
            age(pod.created, now),
        )
    return rows


def age(since: datetime, now: datetime) -> str:
    """How long ago, as kubectl says it: `45s`, `12m`, `3h`, `5d`."""
    seconds = max(0, int((now - since).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
