"""Late binding against least in flight in the simulator: a step of five, and a burst after idleness."""

import random
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gemma_operator.scaling import Settings
from gemma_operator.simulator.policies import make_policy
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.traces import load_trace
from gemma_operator.simulator.types import Result, Setup, Trace
from gemma_router.proxy_config import HOLD_QUEUE

from bench.report import Finding

_MIX = Path(__file__).parents[1] / "tests" / "data" / "traces" / "azure_llm_2023_conv.csv.gz"
_SCENARIOS: dict[str, tuple[float, Callable[[float], float]]] = {
    "8 → 40 → 8 requests/s after 30 and 90 minutes": (7200.0, lambda at: 40.0 if 1800 <= at < 5400 else 8.0),
    "45 minutes all but idle, then 20 requests/s": (5400.0, lambda at: 20.0 if at >= 2700 else 0.02),
}
"""Seconds, and requests per second over time."""
_HOLD = 600.0
"""`scaling.holdTimeout` where it is not given."""


def run() -> list[Finding]:
    """Both scenarios with our policy at a start-up of 180 s."""
    findings = []
    for what, (seconds, rate) in _SCENARIOS.items():
        trace = _trace(seconds, rate)
        at_once = Setup(startup=180)
        kept = replace(at_once, late_binding=True)
        two_pods = replace(kept, queue_limit=2 * HOLD_QUEUE, hold_timeout=_HOLD)
        plain, late, bounded = (_simulated(trace, setup) for setup in (at_once, kept, two_pods))
        findings.append(
            Finding(
                what=f"simulated TTFT p99, late binding against least in flight: {what}",
                figure=f"{late.ttft_p99 / plain.ttft_p99:.2f}×",
                aim="below 1×",
                detail=f"late binding {_words(late)}; least in flight {_words(plain)}; late binding in two "
                f"router pods {_words(bounded)}, {bounded.refused / bounded.requests:.1%} refused",
            )
        )
    return findings


def _simulated(trace: Trace, setup: Setup) -> Result:
    return simulate(trace, setup, make_policy("gemma", setup, Settings()))


def _words(result: Result) -> str:
    share = f"{result.slo_attainment:.1%} in time"
    return f"{share}, p95 {result.ttft_p95:.0f} s, p99 {result.ttft_p99:.0f} s"


def _trace(seconds: float, rate: Callable[[float], float]) -> Trace:
    """Requests of the conversation mix at a rate over time."""
    mix, chance = load_trace(_MIX), random.Random(1)
    arrivals, inputs, outputs = array("d"), array("l"), array("l")
    at = 0.0
    while True:
        at += chance.expovariate(rate(at))
        if at >= seconds:
            return Trace(name="step", arrivals=arrivals, inputs=inputs, outputs=outputs)
        index = chance.randrange(len(mix))
        arrivals.append(at)
        inputs.append(mix.inputs[index])
        outputs.append(mix.outputs[index])
