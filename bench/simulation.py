"""Requests per second of simulation, policy included, and what one decision costs."""

import time
from pathlib import Path

from gemma_operator.scaling import Settings
from gemma_operator.simulator.policies import make_policy
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.traces import load_trace
from gemma_operator.simulator.types import Setup

from bench.report import Finding

_DAY = Path(__file__).parents[1] / "tests" / "data" / "traces" / "servegen_r1_day_x0.25.csv.gz"


def run() -> list[Finding]:
    """Replay the day under our policy and under the tuned HPA."""
    trace, setup = load_trace(_DAY), Setup()
    findings = []
    for name, what in (("gemma", "our policy, a decision every 15 s"), ("hpa-tuned", "a tuned HPA")):
        start = time.perf_counter()
        simulate(trace, setup, make_policy(name, setup, Settings()))
        took = time.perf_counter() - start
        findings.append(
            Finding(
                what=f"simulate a day of {len(trace):,} requests, {what}",
                figure=f"{trace.duration / took:,.0f}× real time, {len(trace) / took:,.0f} requests/s",
                aim="a day in minutes",
                detail=f"start-up 180 s, one core ({took:.0f} s here)",
            )
        )
    return findings
