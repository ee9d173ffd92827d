"""The figures in docs/simulation-results.md are those that this tree gives, and they hold on traces nobody has seen."""

import random
import secrets
from concurrent.futures import ProcessPoolExecutor

import pytest
import simulation_table as figures
from gemma_operator.simulator.types import Result

from bench.unseen_traces import OURS, PEERS, lead, results
from tests.random_traces import SHAPES

SEED = secrets.randbits(32)
STARTUP = 180
TRACES = 20
"""Of each shape. One trace is luck: where one spike comes, a policy that flaps may just have had a replica more."""
WRITTEN = figures.load()
POINT = 0.01
ALLOWANCE = {"spike": 3 * POINT}
"""By how much more a peer that takes fewer replica-hours may have in time in the mean of the traces of a shape.

Drawn 20,000 times from 30 traces of each shape, 20 traces gave a peer both in 0.07 % of the draws at spikes, by 2.0
points at most, and a tenth of a point in no other shape.
"""
LEAST = POINT / 10


def random_cell() -> figures.Cell:
    """One cell of the table; the day takes a minute and comes up seldom."""
    return random.Random(SEED).choice(list(figures.cells()))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("trace", figures.SOURCES)
def test_our_policy_gives_the_written_figures(trace: str) -> None:
    cell = figures.Cell(trace, 180, "gemma", 1)
    assert figures.run(cell) == WRITTEN[str(cell)]


@pytest.mark.timeout(600)
def test_a_random_cell_gives_the_written_figures() -> None:
    cell = random_cell()
    print(f"seed {SEED}: cell {cell}")
    assert figures.run(cell) == WRITTEN[str(cell)]


def test_the_page_shows_the_written_figures() -> None:
    assert figures.PAGE.read_text(encoding="utf-8") == figures.page(WRITTEN)


@pytest.mark.parametrize("trace", figures.SOURCES)
def test_no_peer_is_better_in_both(trace: str) -> None:
    """At 180 s: no peer, at its defaults or tuned, has a higher attainment and fewer replica-hours."""

    def of(policy: str, field: str) -> float:
        return figures.mean(WRITTEN, trace, 180, policy, field)

    for peer in PEERS:
        better = of(peer, "slo_attainment") > of("gemma", "slo_attainment")
        cheaper = of(peer, "replica_hours") < of("gemma", "replica_hours")
        assert not (better and cheaper), f"{peer} on {trace}"
    assert of("gemma", "interrupted") == 0
    assert of("gemma", "scale_changes") < of("hpa-running-waiting", "scale_changes") / 2


@pytest.fixture(scope="module")
def unseen() -> dict[str, list[dict[str, Result]]]:
    """Shape → what each policy does with traces that nobody knows, two minutes of each without metrics."""
    print(f"seed {SEED}")
    seeds = range(SEED, SEED + TRACES)
    with ProcessPoolExecutor() as workers:
        running = {shape: [workers.submit(results, seed, shape, startup=STARTUP) for seed in seeds] for shape in SHAPES}
        return {shape: [each.result() for each in waiting] for shape, waiting in running.items()}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("shape", SHAPES)
def test_no_peer_is_better_in_both_on_unseen_traces(unseen: dict[str, list[dict[str, Result]]], shape: str) -> None:
    """In the mean of a shape."""
    ours = [found[OURS] for found in unseen[shape]]
    for peer in PEERS:
        theirs = [found[peer] for found in unseen[shape]]
        ahead = lead(theirs, ours)
        assert ahead <= ALLOWANCE.get(shape, LEAST), f"seed {SEED}: {peer} has both on {shape}, {ahead:.2%} more"
    assert sum(result.down_in_gap for result in ours) == 0
    assert sum(result.interrupted for result in ours) == 0, f"seed {SEED}"


@pytest.mark.timeout(1200)
def test_the_default_hpa_moves_more_often_on_unseen_traces(unseen: dict[str, list[dict[str, Result]]]) -> None:
    def changes(policy: str) -> int:
        return sum(found[policy].scale_changes for traces in unseen.values() for found in traces)

    assert changes(OURS) < changes("hpa-running-waiting") / 2, f"seed {SEED}"
