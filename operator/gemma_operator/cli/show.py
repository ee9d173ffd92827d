"""A plan for people: what was chosen, why, what it holds and costs, and what else was looked at."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape

from gemma_operator.cli.output import FOOTNOTE, MARK, table
from gemma_operator.cli.planning import Planned
from gemma_operator.planner.text import count, money, shape, size
from gemma_operator.planner.types import Plan, Pool, Rejection, Supply

_SHOWN: Final = 10
_SUPPLY: Final = {
    Supply.FREE: "free now",
    Supply.PROVISIONABLE: "on nodes that the autoscaler would add",
    Supply.OCCUPIED: "held by others",
}


def show(planned: Sequence[Planned], out: Console, *, everything: bool) -> None:
    """Print plans one after the other."""
    for number, each in enumerate(planned):
        if number:
            out.print()
        out.print(f"[bold]{escape(each.wanted.namespace)}/{escape(each.wanted.name)}[/bold]")
        _show_plan(each.plan, each, out)
        _show_rejected(each.plan.rejected, out, everything=everything)


def _show_plan(plan: Plan, each: Planned, out: Console) -> None:
    if not plan.pools:
        out.print(f"  No plan ({plan.blocked}): {escape(plan.reason)}", soft_wrap=True)
        out.print(f"  Next: {escape(plan.next_step)}", soft_wrap=True)
        return
    out.print(f"  {escape(plan.reason)}", soft_wrap=True)
    for pool in plan.pools:
        _show_pool(pool, each, out)
    for warning in plan.warnings:
        out.print(f"  Note: {escape(warning)}", soft_wrap=True)


def _show_pool(pool: Pool, each: Planned, out: Console) -> None:
    memory, needs = pool.memory, pool.resources
    spec = each.wanted.spec
    typical = min(spec.typical_tokens, pool.max_model_len)
    rows = table("", "")
    rows.show_header = False
    rows.add_row("Weights", f"{pool.checkpoint}, {pool.precision}, {size(pool.weights_bytes)} to download")
    rows.add_row("Engine", f"{pool.engine} {pool.engine_version}, {pool.image}")
    rows.add_row(
        "Accelerator",
        f"{shape(pool.gpus_per_replica, pool.accelerator)} for each of {count(pool.replicas, 'replica')}, "
        f"{_SUPPLY[pool.supply]}",
    )
    rows.add_row(
        "Holds",
        f"per replica {count(pool.sequences_typical, 'request')} of {typical} tokens, or {pool.sequences_full} of "
        f"{pool.max_model_len}; at most {pool.max_num_seqs} run at once",
    )
    rows.add_row(
        "Memory",
        f"{size(memory.usable)} usable of {size(memory.reported)} per GPU = weights {size(memory.weights)} + overhead "
        f"{size(memory.overhead)} (estimate) + KV cache {size(memory.kv_cache)} ({pool.kv_cache_tokens} tokens, "
        f"{pool.kv_cache_dtype})",
    )
    rows.add_row("One request", f"{size(memory.kv_per_sequence)} of KV cache at {pool.max_model_len} tokens")
    rows.add_row(
        "Speed",
        f"about {pool.decode_tokens_per_second:.0f} tokens/s for each of {count(spec.concurrency, 'request')} "
        "(estimate)",
    )
    rows.add_row("Cost", _cost(pool))
    rows.add_row(
        "Node",
        f"{needs.cpu_millis / 1000:g} CPU, {size(needs.memory_bytes)} memory, {size(needs.ephemeral_bytes)} ephemeral "
        "storage",
    )
    if pool.inferred:
        rows.add_row(f"Inferred{MARK}", ", ".join(pool.inferred))
    out.print()
    out.print(rows)
    if pool.inferred:
        out.print(f"  {FOOTNOTE}", style="dim")


def _cost(pool: Pool) -> str:
    if pool.cost_per_hour is None:
        return "unknown: the accelerator has no price"
    text = f"{money(pool.cost_per_hour * pool.replicas)} per hour"
    if pool.cost_per_million_tokens is not None:
        text += f", about {money(pool.cost_per_million_tokens)} per million tokens when busy (estimate)"
    return text


def _show_rejected(rejected: Sequence[Rejection], out: Console, *, everything: bool) -> None:
    if not rejected:
        return
    shown = rejected if everything else rejected[:_SHOWN]
    out.print()
    rows = table("REJECTED", "WHY")
    for each in shown:
        name, _, why = each.reason.partition(": ")
        rows.add_row(escape(name), escape(why))
    out.print(rows)
    if len(shown) < len(rejected):
        out.print(f"… and {len(rejected) - len(shown)} more: --all shows them", style="dim")
