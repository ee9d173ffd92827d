"""The figures in docs/simulator.md are those that this tree gives; some are run again, which ones is left to chance."""

import random
import secrets
from itertools import product

import pytest
import simulation_table as written

from bench import published_traces
from bench.unseen_traces import OURS, PEERS, hours, in_time, results
from tests.random_traces import SHAPES

SEED = secrets.randbits(32)
DOCUMENT = (written.ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
TITLES = {"conv": "conversation", "code": "code"}
COLUMNS = {"steady": "steady", "ramp": "ramp", "spike": "single spike", "daily": "daily", "bursty": "bursts"}
"""Shape of a random trace → the column that shows its means."""
DOCUMENTED = range(2000, 2030)


def table(first: str) -> dict[str, dict[str, str]]:
    """Row → column → cell of the table whose head begins like this."""
    lines = DOCUMENT[DOCUMENT.index(f"\n{first}") :].strip().splitlines()
    head, _, *rows = lines[: lines.index("") if "" in lines else None]
    names, *cells = ([cell.strip().strip("*") for cell in line.strip().strip("|").split("|")] for line in (head, *rows))
    return {row[0]: dict(zip(names, row, strict=True)) for row in cells}


def numbers(cell: str) -> list[str]:
    return [part.strip().removesuffix(" %") for part in cell.split("/")]


@pytest.mark.parametrize(
    ("trace", "column"), [("conv", "conversation ×4"), ("code", "code ×4"), ("day", "reasoning day")]
)
def test_the_table_at_180_s_is_that_of_all_figures(trace: str, column: str) -> None:
    figures = written.load()
    for policy, row in table("| policy | conversation ×4 | code ×4 |").items():
        shown = numbers(row[column])
        values = [
            written.mean(figures, trace, 180, policy, field) * (100 if field == "slo_attainment" else 1)
            for field in ("replica_hours", "slo_attainment", "scale_changes", "interrupted")
        ]
        again = [f"{value:.{len(text.partition('.')[2])}f}" for value, text in zip(values, shown, strict=True)]
        assert shown == again, f"{policy} on {trace}"


@pytest.mark.timeout(600)
def test_a_random_published_trace_gives_the_documented_figures() -> None:
    """One of Azure's: others are not in the repository."""
    chance = random.Random(SEED)
    trace, speed = chance.choice(list(product(TITLES, (1, 2, 8))))
    print(f"seed {SEED}: {trace} ×{speed}")
    file = written.ROOT / "tests" / "data" / "traces" / f"{written.SOURCES[trace].file}.csv.gz"
    shown = table("| trace | **gemma** | hpa-tuned |")[f"Azure {TITLES[trace]} ×{speed}"]
    found = {
        (str(file), speed, policy, seed): published_traces.result(str(file), speed, policy, seed)
        for policy in (OURS, *PEERS)
        for seed in published_traces.SEEDS
    }
    head, _, row = ([cell.strip() for cell in line.strip("|").split("|")] for line in published_traces.lines(found))
    again = dict(zip(head, row, strict=True))
    assert {name: again[name] for name in shown if name != "trace"} == {
        name: cell for name, cell in shown.items() if name != "trace"
    }


@pytest.mark.timeout(600)
def test_random_traces_give_the_documented_means() -> None:
    shape = random.Random(SEED).choice(SHAPES)
    print(f"seed {SEED}: {shape}")
    found = [results(seed, shape, startup=180) for seed in DOCUMENTED]
    shown = {policy: row[COLUMNS[shape]] for policy, row in table("| policy | steady | ramp |").items()}
    assert shown == {
        policy: f"{in_time(column)} / {hours(column)}"
        for policy in (OURS, *PEERS)
        for column in [[each[policy] for each in found]]
    }
