"""All policies on traces in files: does a peer have both, more in time and fewer replica-hours?"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

from gemma_operator.scaling import Settings
from gemma_operator.simulator.policies import make_policy
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.shape import faster
from gemma_operator.simulator.traces import load_trace
from gemma_operator.simulator.types import Result, Setup

from bench.unseen_traces import OURS, PEERS, hours, in_time, lead

STARTUP = 180
SPEEDS = (1, 2, 4, 8)
SEEDS = (1, 2, 3)
_Case = tuple[str, int, str, int]
"""File, density, policy, seed."""


def main(arguments: Sequence[str]) -> None:
    """Print a table for the files, each as it is and at twice, four and eight times the requests."""
    cases = list(product(arguments, SPEEDS, (OURS, *PEERS), SEEDS))
    with ProcessPoolExecutor() as workers:
        found = dict(zip(cases, workers.map(result, *zip(*cases, strict=True)), strict=True))
    print("\n".join(lines(found)), flush=True)


def result(file: str, speed: int, policy: str, seed: int) -> Result:
    """What a policy does with a trace made denser."""
    setup = Setup(startup=STARTUP, seed=seed)
    trace = faster(load_trace(Path(file)), speed, seed=seed)
    return simulate(trace, setup, make_policy(policy, setup, Settings()))


def lines(found: Mapping[_Case, Result]) -> Iterator[str]:
    """Replica-hours and what was in time, means over the seeds, and who has both."""
    yield f"| trace | {' | '.join((OURS, *PEERS))} | a peer has both |"
    yield "| --- |" + " --- |" * (len(PEERS) + 2)
    for file, speed in dict.fromkeys((file, speed) for file, speed, _, _ in found):
        columns = {name: [found[file, speed, name, seed] for seed in SEEDS] for name in (OURS, *PEERS)}
        figures = [f"{hours(column)} / {in_time(column)}" for column in columns.values()]
        ahead = ", ".join(peer for peer in PEERS if lead(columns[peer], columns[OURS]) > 0)
        yield f"| {Path(file).name.split('.')[0]} ×{speed} | {' | '.join(figures)} | {ahead or 'none'} |"
