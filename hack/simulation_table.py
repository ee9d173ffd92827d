"""Run every policy on the traces of the tests and write the figures: `make table`.

One run is one cell. Figures go to tests/data/simulation.json, which tests compare with what they run themselves, and
as tables to docs/simulation-results.md. All cells are run again, one on each core; --missing runs those that are not
there, for a policy or a trace that is new or for the rest of a run that was stopped.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from gemma_operator.scaling import Settings
from gemma_operator.simulator.policies import POLICIES, make_policy
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.shape import faster
from gemma_operator.simulator.table import to_json
from gemma_operator.simulator.traces import load_trace
from gemma_operator.simulator.types import Setup, Trace

ROOT: Final = Path(__file__).resolve().parents[1]
FIGURES: Final = ROOT / "tests" / "data" / "simulation.json"
PAGE: Final = ROOT / "docs" / "simulation-results.md"
STARTUPS: Final = (60, 180, 420)
LATENCY: Final = "gemma-latency"
NAMES: Final = ("gemma", LATENCY, *(name for name in POLICIES if name != "gemma"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A trace, how much denser it is made, and how many seeds are run."""

    title: str
    file: str
    speed: int
    seeds: int


SOURCES: Final[Mapping[str, Source]] = {
    "conv": Source(title="Azure conversation ×4, 58 minutes", file="azure_llm_2023_conv", speed=4, seeds=3),
    "code": Source(title="Azure code ×4, 57 minutes", file="azure_llm_2023_code", speed=4, seeds=3),
    "day": Source(title="Reasoning day, 24 hours", file="servegen_r1_day_x0.25", speed=1, seeds=1),
}


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One run."""

    trace: str
    startup: int
    policy: str
    seed: int

    def __str__(self) -> str:
        return f"{self.trace}/{self.startup}/{self.policy}/{self.seed}"


def cells() -> Iterator[Cell]:
    """All runs, ours at 180 s first."""
    every = [
        Cell(trace, startup, policy, seed)
        for trace, source in SOURCES.items()
        for startup in STARTUPS
        for policy in NAMES
        for seed in range(1, source.seeds + 1)
    ]
    yield from sorted(every, key=lambda cell: (cell.startup != 180, cell.policy != "gemma"))


@cache
def trace_of(name: str, seed: int) -> Trace:
    """The requests of a source."""
    source = SOURCES[name]
    return faster(load_trace(ROOT / "tests" / "data" / "traces" / f"{source.file}.csv.gz"), source.speed, seed=seed)


def run(cell: Cell) -> dict[str, Any]:
    """The figures of one cell: the replica and the bounds of docs/simulator.md."""
    setup = Setup(startup=cell.startup, seed=cell.seed)
    latency = cell.policy == LATENCY
    policy = make_policy(
        "gemma" if latency else cell.policy, setup, Settings(preference="latency" if latency else "balanced")
    )
    trace = trace_of(cell.trace, cell.seed if SOURCES[cell.trace].speed > 1 else 1)
    return to_json(simulate(trace, setup, policy))


def load() -> dict[str, dict[str, Any]]:
    """Figures written before."""
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def mean(figures: Mapping[str, Mapping[str, Any]], trace: str, startup: int, policy: str, field: str) -> float:
    """A figure over the seeds."""
    seeds = range(1, SOURCES[trace].seeds + 1)
    return sum(float(figures[str(Cell(trace, startup, policy, seed))][field]) for seed in seeds) / len(seeds)


def page(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with a table for each trace."""
    lines = [
        "# Simulation results",
        "",
        "Written by `make table`; [docs/simulator.md](simulator.md) says what is simulated and how to read this.",
        "Replica-hours / requests in time in % / scale changes / interrupted requests; means over seeds.",
        "",
    ]
    for trace, source in SOURCES.items():
        seeds = f"{source.seeds} seeds" if source.seeds > 1 else "one seed"
        lines += [
            f"## {source.title} ({seeds})",
            "",
            "| policy | start-up 60 s | 180 s | 420 s |",
            "| --- | --- | --- | --- |",
        ]
        for policy in NAMES:
            row = []
            for startup in STARTUPS:
                hours, share, changes, lost = (
                    mean(figures, trace, startup, policy, field)
                    for field in ("replica_hours", "slo_attainment", "scale_changes", "interrupted")
                )
                row.append(f"{hours:.2f} / {share * 100:.2f} / {changes:.0f} / {lost:.0f}")
            name = f"**{policy}**" if policy == "gemma" else policy
            lines.append(f"| {name} | {' | '.join(row)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run cells and write as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", action="store_true", help="run only cells that are not written yet")
    figures = load() if parser.parse_args().missing else {}
    todo = [cell for cell in cells() if str(cell) not in figures]
    start = time.monotonic()
    with ProcessPoolExecutor() as workers:
        running = {workers.submit(run, cell): cell for cell in todo}
        for number, done in enumerate(as_completed(running), start=1):
            figures[str(running[done])] = done.result()
            FIGURES.write_text(json.dumps(dict(sorted(figures.items())), indent=1) + "\n")
            took = time.monotonic() - start
            print(f"{number}/{len(todo)} {running[done]}, {took:.0f} s so far", file=sys.stderr, flush=True)
    PAGE.write_text(page(figures))
    print(f"written: {PAGE}, {FIGURES}")


if __name__ == "__main__":
    main()
