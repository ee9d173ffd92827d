"""Run all benchmarks, or those named: `python -m bench [planning|scaling|router|simulation|fleet]`.

Two are not among them, all policies on traces that nothing was tuned for, as the tables of docs/simulator.md:
`python -m bench unseen [FIRST-LAST]` on random ones with these seeds (a seed takes about 20 s of one core), and
`python -m bench traces FILE [FILE ...]` on those in files (some minutes).
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "tests/standin"), str(ROOT)]

from bench import (  # noqa: E402  (hack is a source root, not a package)
    fleet_apply,
    late_binding,
    late_binding_simulated,
    planning,
    published_traces,
    router_cost,
    scaling_tick,
    simulation,
    unseen_traces,
)
from bench.report import show  # noqa: E402  (as above)


def main() -> None:
    """Run and print."""
    if sys.argv[1:2] == ["unseen"]:
        return unseen_traces.main(sys.argv[2:])
    if sys.argv[1:2] == ["traces"]:
        return published_traces.main(sys.argv[2:])
    chosen = sys.argv[1:] or ["planning", "scaling", "router", "simulation", "fleet"]
    findings = []
    if "planning" in chosen:
        print("==> planning on two fleets (under a minute)", flush=True)
        findings += planning.run()
    if "scaling" in chosen:
        print("==> the scaler's rounds over 500 engines (a minute)", flush=True)
        findings += scaling_tick.run()
    if "router" in chosen:
        print("==> the router against LiteLLM alone, and late binding (two minutes)", flush=True)
        for measure in (router_cost.run, late_binding.run):
            with tempfile.TemporaryDirectory(prefix="gemma-bench-") as folder:
                findings += measure(Path(folder))
    if "simulation" in chosen:
        print("==> simulating a day of requests, and late binding (two minutes)", flush=True)
        findings += simulation.run() + late_binding_simulated.run()
    if "fleet" in chosen:
        print("==> 200 GemmaDeployments on a real API server with kwok (some minutes)", flush=True)
        with tempfile.TemporaryDirectory(prefix="gemma-bench-") as folder:
            findings += fleet_apply.run(Path(folder))
    show(findings)


main()
