"""All policies on random traces of five shapes: on how many a peer has both more in time and fewer replica-hours."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from statistics import mean

from gemma_operator.scaling import Settings
from gemma_operator.simulator.policies import make_policy
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.types import Fault, Result, Setup

from tests.random_traces import SHAPES, random_trace

OURS = "gemma"
PEERS = ("hpa-waiting", "hpa-running-waiting", "hpa-tuned", "kpa", "kpa-tuned", "wva")
SEEDS = "2000-2029"
STARTUPS = (120, 180)
_POINT = 0.01


def results(seed: int, shape: str, *, startup: float) -> dict[str, Result]:
    """Policy → what it does with one trace of 45 minutes, two of them without metrics."""
    trace = random_trace(seed, shape, seconds=2700)
    setup = Setup(startup=startup, seed=seed, faults=(Fault(kind="gap", at=1500, seconds=120),))
    return {name: simulate(trace, setup, make_policy(name, setup, Settings())) for name in (OURS, *PEERS)}


def lead(peer: Sequence[Result], ours: Sequence[Result]) -> float:
    """Share of requests that a peer has more in time, in the mean; 0 unless it takes fewer replica-hours as well."""
    if sum(result.replica_hours for result in peer) >= sum(result.replica_hours for result in ours):
        return 0.0
    return max(0.0, mean(result.slo_attainment for result in peer) - mean(result.slo_attainment for result in ours))


def in_time(column: Sequence[Result]) -> str:
    """Requests in time, in the mean, as documents write it."""
    return f"{100 * mean(each.slo_attainment for each in column):.2f} %"


def hours(column: Sequence[Result]) -> str:
    """Replica-hours, in the mean, as documents write it."""
    return f"{mean(each.replica_hours for each in column):.2f}"


def main(arguments: Sequence[str]) -> None:
    """Print the tables for the seeds FIRST-LAST."""
    first, _, last = (arguments[0] if arguments else SEEDS).partition("-")
    seeds = range(int(first), int(last or first) + 1)
    for startup in STARTUPS:
        cases = list(product(seeds, SHAPES))
        with ProcessPoolExecutor() as workers:
            found = dict(zip(cases, workers.map(_case, cases, [startup] * len(cases)), strict=True))
        print("\n".join(lines(found, startup=startup)), flush=True)


def _case(case: tuple[int, str], startup: float) -> dict[str, Result]:
    return results(*case, startup=startup)


def lines(found: Mapping[tuple[int, str], Mapping[str, Result]], *, startup: float) -> Iterator[str]:
    """Two tables: how often a peer has both, and the means of each shape."""
    seeds = sorted({seed for seed, _ in found})
    yield f"\nStart-up {startup:g} s, seeds {seeds[0]} to {seeds[-1]}\n"
    yield "| shape | traces | a peer has both | by more than a point | who | a peer has both in the mean |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for shape in SHAPES:
        leads = {
            (seed, peer): lead([found[seed, shape][peer]], [found[seed, shape][OURS]])
            for seed, peer in product(seeds, PEERS)
        }
        clear = [key for key, value in leads.items() if value > _POINT]
        both = _traces(key for key, value in leads.items() if value > 0)
        names = ", ".join(f"{peer} {count}" for peer, count in Counter(peer for _, peer in clear).items())
        ours = _column(found, seeds, shape, OURS)
        ahead = ", ".join(peer for peer in PEERS if lead(_column(found, seeds, shape, peer), ours) > 0)
        yield f"| {shape} | {len(seeds)} | {both} | {_traces(clear)} | {names or '–'} | {ahead or 'none'} |"
    yield f"\n| in time / replica-hours | {' | '.join(SHAPES)} | scale changes |"
    yield "| --- |" + " --- |" * (len(SHAPES) + 1)
    for name in (OURS, *PEERS):
        columns = [_column(found, seeds, shape, name) for shape in SHAPES]
        figures = [f"{in_time(column)} / {hours(column)}" for column in columns]
        changes = sum(result.scale_changes for column in columns for result in column)
        yield f"| {name} | {' | '.join(figures)} | {changes} |"


def _traces(keys: Iterable[tuple[int, str]]) -> int:
    return len({seed for seed, _ in keys})


def _column(
    found: Mapping[tuple[int, str], Mapping[str, Result]], seeds: Sequence[int], shape: str, name: str
) -> list[Result]:
    return [found[seed, shape][name] for seed in seeds]
