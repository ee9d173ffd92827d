"""`kubectl gemma simulate`: JSON for programs, a table and a page for people, refusals."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.unit.inventory.builders import Object, node

Run = Callable[..., Result]
Wanted = Callable[..., Path]

SPEED = (
    "--step-base",
    "0.016",
    "--step-per-sequence",
    "0.00018",
    "--step-per-prefill-token",
    "0.0001",
    "--max-num-seqs",
    "128",
    "--kv-tokens",
    "300000",
)
FIELDS = {
    "slo_attainment",
    "ttft_p50",
    "ttft_p95",
    "ttft_p99",
    "replica_hours",
    "cost",
    "scale_changes",
    "interrupted",
    "refused",
    "max_replicas",
}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Ten minutes, two requests per second."""
    path = tmp_path / "trace.csv"
    rows = "".join(f"{index / 2},{200 + index % 7 * 100},{50 + index % 5 * 20}\n" for index in range(1200))
    path.write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")
    return path


def l4(name: str) -> Object:
    """A node with four L4."""
    made = node("l4")
    made["metadata"]["name"] = name
    return made


def test_json_has_the_promised_shape(run: Run, wanted: Wanted, trace: Path) -> None:
    file = wanted(chat={"scaling": {"min": 1, "max": 20}})
    policies = "gemma,hpa-waiting,hpa-running-waiting,hpa-tuned,kpa,kpa-tuned,wva,static-3"
    result = run("simulate", "--trace", trace, "--file", file, *SPEED, "--policies", policies, "-o", "json")
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert list(body) == ["policies"]
    assert list(body["policies"]) == policies.split(",")
    for found in body["policies"].values():
        assert set(found) == FIELDS
        assert 0 <= found["slo_attainment"] <= 1
        assert found["cost"] is None
        assert found["max_replicas"] >= 1
    assert body["policies"]["static-3"]["scale_changes"] <= 1
    assert body["policies"]["gemma"]["interrupted"] == 0


def test_the_same_seed_gives_the_same_figures(run: Run, wanted: Wanted, trace: Path) -> None:
    file = wanted(chat={"scaling": {"min": 1, "max": 20}})
    arguments = (
        "simulate",
        "--trace",
        trace,
        "-f",
        file,
        *SPEED,
        "--speed",
        "12.5",
        "--policies",
        "gemma",
        "-o",
        "json",
    )
    first = json.loads(run(*arguments, "--seed", "1").stdout)
    assert json.loads(run(*arguments, "--seed", "1").stdout) == first
    assert json.loads(run(*arguments, "--seed", "2").stdout) != first


def test_the_plan_gives_speed_supply_and_price(run: Run, wanted: Wanted, cluster: Wanted, trace: Path) -> None:
    nodes = cluster(l4("a"), l4("b"))
    file = wanted(chat={"model": "e4b", "scaling": {"min": 1, "max": 60}})
    arguments = ("simulate", "--trace", trace, "-f", file, "--nodes", nodes, "--speed", "40")
    body = json.loads(run(*arguments, "--policies", "gemma,hpa-waiting", "-o", "json").stdout)["policies"]
    assert body["hpa-waiting"]["max_replicas"] == 8
    assert body["gemma"]["max_replicas"] <= 8
    assert body["gemma"]["cost"] > 0
    text = run(*arguments, "--policies", "gemma").stdout
    for part in ("e4b bf16 on 1×l4; GPUs for 8 replicas", "(estimate)", "IN TIME", "REPLICA-HOURS", "gemma"):
        assert part in text


def test_no_dump_means_any_gpu(run: Run, wanted: Wanted, trace: Path) -> None:
    result = run("simulate", "--trace", trace, "-f", wanted(chat={"accelerators": ["h100"]}), "--policies", "gemma")
    assert result.exit_code == 0, result.output
    assert "×h100" in result.stdout


def test_nothing_fits_is_exit_code_2(run: Run, wanted: Wanted, cluster: Wanted, trace: Path) -> None:
    file = wanted(chat={"model": "31b", "accelerators": ["h100"]})
    assert run("simulate", "--trace", trace, "-f", file, "--nodes", cluster()).exit_code == 2


def test_the_budget_caps(run: Run, wanted: Wanted, cluster: Wanted, trace: Path) -> None:
    nodes = cluster(*(l4(name) for name in "abcd"))
    file = wanted(chat={"model": "e4b", "maxCostPerHour": 2, "scaling": {"min": 1, "max": 60}})
    result = run("simulate", "--trace", trace, "-f", file, "--nodes", nodes, "--speed", "40", "-o", "json")
    found = json.loads(result.stdout)["policies"]
    assert {each["max_replicas"] for each in found.values()} <= {1, 2}


def test_the_report_is_one_page_that_loads_nothing(run: Run, wanted: Wanted, trace: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    file = wanted(chat={"scaling": {"min": 1, "max": 20}})
    result = run("simulate", "--trace", trace, "-f", file, *SPEED, "--policies", "gemma,kpa", "--report", page)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    for part in ("Load", "Replicas", "Queue", "Time to first token", "gemma", "kpa", "1,200 requests"):
        assert part in text
    assert "http" not in text
    assert "<script" not in text
    charts = [part.split("</svg>")[0] for part in text.split("<svg")[1:]]
    assert len(charts) == 4
    for chart in charts:
        drawn = ElementTree.fromstring(f"<svg{chart}</svg>")
        assert all(line.get("points") for line in drawn.iter("polyline"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--policies", "hpa"), "--policies: policy 'hpa' is not known; there are gemma, "),
        (("--policies", ","), "--policies: name at least one"),
        (("--speed", "0"), "--speed 0: give a number above 0"),
        (("--rate", "3"), "--rate 3: give a share above 0 and at most 1"),
        (("--step-base", "16"), "--step-base 16: give seconds, such as 0.016"),
        (("--report", "/nowhere/out.html"), "--report /nowhere/out.html: cannot be written"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_refusals(run: Run, wanted: Wanted, trace: Path, more: tuple[str, ...], words: str) -> None:
    result = run("simulate", "--trace", trace, "-f", wanted(chat={}), *SPEED, *more)
    assert result.exit_code == 1
    assert words in result.stderr


def test_a_bad_trace_is_refused_with_its_line(run: Run, wanted: Wanted, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("arrival_s,input_tokens,output_tokens\n1,2,3\n2,two,3\n")
    result = run("simulate", "--trace", path, "-f", wanted(chat={}), *SPEED)
    assert result.exit_code == 1
    assert f"{path}: line 3: 'two' is no number of prompt tokens" in result.stderr


def test_one_deployment_at_a_time(run: Run, wanted: Wanted, trace: Path) -> None:
    result = run("simulate", "--trace", trace, "-f", wanted(a={}, b={}), *SPEED)
    assert result.exit_code == 1
    assert "2 GemmaDeployments (a, b)" in result.stderr
