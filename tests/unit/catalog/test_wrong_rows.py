"""A wrong row is named with file, line and remedy, and an override with its row."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from gemma_operator.api.config import AcceleratorRow
from gemma_operator.catalog.load import FACTS, load_catalog
from gemma_operator.catalog.source import CatalogError, parse

CASES = [
    # file, text to find, text to put, what the message must say, lines from the change to the named one
    ("accelerators.yaml", "    bandwidth: 300\n", "    bandwith: 300\n", "unknown field: remove it or correct", 0),
    ("accelerators.yaml", "    memory: 23034 MiB\n", "    memory: 23034\n", "write a number and MiB, GiB or GB", 0),
    ("accelerators.yaml", "    bandwidth: 300\n", "    bandwidth: -300\n", "greater than 0", 0),
    ("accelerators.yaml", "    computeCapability: 8.9\n", "    computeCapability: new\n", "write major and minor", 0),
    ("accelerators.yaml", "  - name: l4\n", "  - name: l40\n", "a second row 'l40'", 15),
    ("accelerators.yaml", "gke: [nvidia-l4]", "gke: [nvidia-tesla-t4]", "already means 't4'", -10),
    ("accelerators.yaml", "{perHour: 0.805, date: 2026-11,", "{perHour: 0.805,", "say from which month", 0),
    ("accelerators.yaml", "    inferred: [price]\n", "    inferred: [prise]\n", "no field that can be inferred", 0),
    ("accelerators.yaml", "  - of: [h100, h100-pcie]\n", "  - of: [h1000]\n", "no row 'h1000'", 0),
    (
        "models.yaml",
        "    contextLimit: 131072\n",
        "    contextLimit: 1\n    contextLimit: 1\n",
        "keep one of them",
        1,
    ),
    ("models.yaml", "      queryHeads: 32\n", "      queryHeads: 24\n", "does not divide 24 query heads", -2),
    ("models.yaml", "full: {total: 10, owningKv: 10,", "full: {total: 10, owningKv: 11,", "owningKv is above total", 0),
    ("models.yaml", "    loaded: 31.7 GiB\n", "    loaded: 1.0 GiB\n", "replicated is above loaded", -4),
    ("models.yaml", "    minimumEngineVersion: 0.23.0\n", "    minimumEngineVersion: new\n", "should match pattern", 0),
    ("models.yaml", "    engine: vllm\n", "", "required field is missing: add it", -2),
    ("models.yaml", "  - key: 31b\n", "  - key: 12b\n", "a second model '12b'", 0),
    ("models.yaml", "deniedVersions:\n", "deniedVersions: [\n", "no valid YAML", None),
    ("images.yaml", 'v{version}-cu129"', 'latest-cu129"', "should match pattern", 0),
]


@pytest.mark.parametrize(("file", "old", "new", "says", "below"), CASES, ids=[f"{case[0]}-{case[3]}" for case in CASES])
def test_wrong_row_is_named(tmp_path: Path, file: str, old: str, new: str, says: str, below: int | None) -> None:
    directory = tmp_path / "facts"
    shutil.copytree(FACTS, directory, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (directory / file).read_text()
    at = text.index(old)
    (directory / file).write_text(text[:at] + new + text[at + len(old) :])
    with pytest.raises(CatalogError) as caught:
        load_catalog(directory=directory)
    named = [line for line in str(caught.value).splitlines() if says in line]
    assert len(named) == 1, caught.value
    line = re.match(rf"{re.escape(file)}:(\d+): ", named[0])
    assert line is not None, named
    if below is not None:
        assert int(line[1]) == text[:at].count("\n") + 1 + below, named


def test_the_line_is_exact() -> None:
    document = parse("a:\n  - x: 1\n  - x: 2\n    y: {z: [1,\n      2]}\n", file="f.yaml")
    assert document.line(("a", 0, "x")) == 2
    assert document.line(("a", 1, "y")) == 4
    assert document.line(("a", 1, "y", "z", 1)) == 5
    assert document.line(("a", 1, "missing")) == 3


def test_an_empty_file_is_named() -> None:
    with pytest.raises(CatalogError, match=r"f\.yaml:1: the file is empty"):
        parse("# nothing\n", file="f.yaml")


def row(name: str, like: str | None = None, **fields: Any) -> AcceleratorRow:
    return AcceleratorRow(name=name, like=like, fields=fields)


def test_override_of_a_price() -> None:
    l4 = load_catalog([row("l4", price={"perHour": 0.41})]).accelerators["l4"]
    assert (l4.price_per_hour, l4.price_kind) == (0.41, "configured")
    assert "price" not in l4.inferred
    assert l4.memory_bytes == load_catalog().accelerators["l4"].memory_bytes
    assert load_catalog().accelerators["l4"].price_kind == "on-demand"


def test_override_of_a_gpu_changes_its_partitions() -> None:
    cheap = load_catalog([row("h100", price={"perHour": 0.7})]).accelerators["h100-mig-1g.10gb"]
    assert cheap.price_per_hour == pytest.approx(0.1)


def test_new_row_like_another() -> None:
    catalog = load_catalog(
        [row("rtx-3060", "rtx-3090", memory="12288 MiB", labels={"gfd": ["NVIDIA-GeForce-RTX-3060"]})]
    )
    made = catalog.accelerators["rtx-3060"]
    assert made.memory_bytes == 12288 * 2**20
    assert made.compute_capability == (8, 6)
    assert made.identifications[0].labels == {"nvidia.com/gpu.product": ("NVIDIA-GeForce-RTX-3060",)}
    assert "memory" not in made.inferred
    assert "bandwidth" in made.inferred


def test_new_row_like_a_new_row() -> None:
    catalog = load_catalog(
        [
            row("one", "l4", labels={"custom": {"gpu": ["one"]}}),
            row("two", "one", bandwidth=500, labels={"custom": {"gpu": ["two"]}}),
        ]
    )
    assert catalog.accelerators["two"].bandwidth == 500e9


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (row("l4", memory="24"), r"accelerators\[0\] \('l4'\): memory: .*write a number"),
        (row("mine", "nothing"), r"accelerators\[0\] \('mine'\): `like: nothing` is no row: use one of a10"),
        (row("mine", "l4"), r"\('mine'\): labels: required field is missing"),
        (row("mine"), r"\('mine'\): memory: required field is missing"),
        (row("mine", "l4", labels={"gfd": ["NVIDIA-L4"]}), r"\('mine'\): label .*NVIDIA-L4 already means 'l4'"),
        (row("l4", colour="red"), r"\('l4'\): colour: unknown field"),
        (row("l4", price={"perHour": -1}), r"\('l4'\): price.perHour: .*greater than 0"),
    ],
)
def test_wrong_override_is_named(override: AcceleratorRow, says: str) -> None:
    with pytest.raises(CatalogError, match=says):
        load_catalog([override])
