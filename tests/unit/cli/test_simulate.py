"""`kubectl gemma simulate`: JSON for programs, a table and a page for people, refusals."""

import json
import os
import pty
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from gemma_router.load import allowance
from gemma_router.proxy_config import HOLD_QUEUE
from typer.testing import Result

from tests.unit.inventory.builders import Object, node

Run = Callable[..., Result]
Wanted = Callable[..., Path]

OPERATOR = Path(__file__).parents[3] / "operator"
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


def test_the_budget_caps_where_the_speed_is_given(run: Run, wanted: Wanted, trace: Path) -> None:
    """What a replica costs is the plan's to say, whoever says how fast it is."""
    budget = {"model": "e4b", "accelerators": ["l4"], "maxCostPerHour": 2, "scaling": {"min": 1, "max": 60}}
    arguments = ("simulate", "--trace", trace, "-f", wanted(chat=budget), *SPEED, "--speed", "60", "-o", "json")
    result = run(*arguments, "--policies", "gemma,hpa-waiting")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["policies"]
    assert {each["max_replicas"] for each in found.values()} == {2}
    assert all(each["cost"] > 0 for each in found.values())


def test_prompt_tokens_of_one_step_are_the_plans_where_there_is_one(run: Run, wanted: Wanted, trace: Path) -> None:
    arguments = ("simulate", "--trace", trace, *SPEED, "--policies", "static-1", "-f")
    assert "2048 prompt tokens per step" in run(*arguments, wanted(chat={"model": "e4b"})).stdout
    capped = {"model": "e4b", "maxCostPerHour": 1000}
    assert "4096 prompt tokens per step" in run(*arguments, wanted(chat=capped)).stdout
    assert " 512 prompt tokens per step" in run(*arguments, wanted(chat=capped), "--chunk", "512").stdout


def test_a_drain_lasts_as_long_as_the_file_says(run: Run, wanted: Wanted, tmp_path: Path) -> None:
    """Ten minutes of long answers, then few of them: a replica that goes still answers some."""
    path = tmp_path / "long.csv"
    rows = "".join(f"{index / 4},100,3000\n" for index in range(2400))
    rows += "".join(f"{at},9,3000\n" for at in range(600, 3600, 5))
    path.write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")

    def interrupted(timeout: str) -> int:
        file = wanted(chat={"scaling": {"min": 1, "max": 20, "drainTimeout": timeout}})
        result = run("simulate", "--trace", path, "-f", file, *SPEED, "--policies", "gemma", "-o", "json")
        assert result.exit_code == 0, result.output
        return int(json.loads(result.stdout)["policies"]["gemma"]["interrupted"])

    assert interrupted("15m") == 0
    assert interrupted("1s") > 0


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


def test_the_router_keeps_what_its_pods_keep(run: Run, wanted: Wanted, tmp_path: Path) -> None:
    """1000 for each router pod, and no longer than `scaling.holdTimeout`."""
    path = tmp_path / "burst.csv"
    path.write_text("arrival_s,input_tokens,output_tokens\n" + "0,10,10\n" * 3000)

    def refused(pods: int, hold: str) -> int:
        config = tmp_path / "config.yaml"
        config.write_text(f"router: {{replicas: {pods}}}\n")
        file = wanted(chat={"scaling": {"min": 1, "max": 1, "holdTimeout": hold}})
        arguments = ("--trace", path, "-f", file, "--config", config, *SPEED, "--max-num-seqs", "16", "--late-binding")
        result = run("simulate", *arguments, "--policies", "static-1", "-o", "json")
        assert result.exit_code == 0, result.output
        return int(json.loads(result.stdout)["policies"]["static-1"]["refused"])

    assert refused(1, "600s") == 3000 - HOLD_QUEUE - 16 - allowance(16)
    assert refused(2, "600s") == 3000 - 2 * HOLD_QUEUE - 16 - allowance(16)
    assert refused(2, "5s") > refused(2, "600s")


def test_the_configuration_says_how_long_load_is_remembered(run: Run, wanted: Wanted, tmp_path: Path) -> None:
    path, config = tmp_path / "calm.csv", tmp_path / "config.yaml"
    rows = "".join(f"{index / 20},800,200\n" for index in range(12_000))
    rows += "".join(f"{second},800,200\n" for second in range(600, 2400))
    path.write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")
    arguments = ("simulate", "--trace", path, "-f", wanted(chat={"scaling": {"min": 1, "max": 20}}), *SPEED)

    def hours(*more: object) -> float:
        result = run(*arguments, "--policies", "gemma", *more, "-o", "json")
        assert result.exit_code == 0, result.output
        return float(json.loads(result.stdout)["policies"]["gemma"]["replica_hours"])

    config.write_text("scalingMemorySeconds: 60\n")
    assert hours("--config", config) < hours() * 0.9


def test_progress_is_shown_to_people_only(wanted: Wanted, trace: Path) -> None:
    """On a terminal, beside the figures; in a file or a pipe it would be rubbish."""
    arguments = ("--trace", trace, "-f", wanted(chat={}), *SPEED, "--policies", "static-1", "-o", "json")
    command = [sys.executable, "-m", "gemma_operator.cli", "simulate", *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(OPERATOR)}
    piped = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert piped.stderr == b""
    ours, theirs = pty.openpty()
    on_terminal = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = os.read(ours, 65_536)
    os.close(ours)
    assert b"static-1" in shown
    assert b"100 %" in shown
    assert json.loads(on_terminal.stdout) == json.loads(piped.stdout)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--policies", "hpa"), "--policies: policy 'hpa' is not known; there are gemma, "),
        (("--policies", ","), "--policies: name at least one"),
        (("--policies", "static-²"), "--policies: policy 'static-²' is not known; there are gemma, "),
        (("--speed", "0"), "--speed 0: give a number above 0"),
        (("--speed", "inf"), "--speed inf: give a number above 0"),
        (("--speed", "nan"), "--speed nan: give a number above 0"),
        (("--speed", "1e9"), "--speed 1e+09: at most 10,000,000 requests are replayed, the trace has 1,200"),
        (("--rate", "nan"), "--rate nan: give a share above 0 and at most 1"),
        (("--rate", "1e-9"), "trace.csv: no request left with --speed 1 --rate 1e-09: give a higher one"),
        (("--speed", "1e-9"), "trace.csv: no request left with --speed 1e-09 --rate 1: give a higher one"),
        (("--step-base", "inf"), "--step-base inf: give seconds, such as 0.016"),
        (("--step-per-sequence", "inf"), "--step-per-sequence inf: give seconds, such as 0.016"),
        (("--step-per-prefill-token", "inf"), "--step-per-prefill-token inf: give seconds, such as 0.016"),
        (("--step-per-prefill-token", "10"), "--step-per-prefill-token 10: give seconds, such as 0.016"),
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
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--startup", "inf"),
        ("--startup", "nan"),
        ("--metrics-interval", "16"),
        ("--metrics-interval", "nan"),
        ("--step-base", "nan"),
        ("--step-per-sequence", "nan"),
        ("--step-per-prefill-token", "nan"),
    ],
)
def test_what_is_out_of_range_is_wrong_usage(run: Run, wanted: Wanted, trace: Path, flag: str, value: str) -> None:
    result = run("simulate", "--trace", trace, "-f", wanted(chat={}), *SPEED, flag, value)
    assert result.exit_code == 1
    assert f"Error: Invalid value for '{flag}': " in result.stderr


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
