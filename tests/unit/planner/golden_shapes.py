"""Plans of the shapes that the documentation promises, kept as files.

`python -m tests.unit.planner.golden_shapes` writes them anew; look at the difference before it is committed.
"""

import json
from pathlib import Path
from typing import Any

from gemma_operator.planner.serialize import plan_to_json

from tests.unit.inventory.builders import Object, node
from tests.unit.planner.builders import inventory_of, plan_on

DIRECTORY = Path(__file__).parent / "golden"

GKE_L4 = {"cloud.google.com/gke-accelerator": "nvidia-l4"}
GKE_H100 = {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}
PRESENT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}

SHAPES: dict[str, tuple[list[Object], dict[str, Any]]] = {
    "e2b-l4": ([node("a")], {"model": "e2b"}),
    "12b-int4-l4": ([node("a", gpus=1)], {"model": "12b", "precision": "int4"}),
    "26b-a4b-fp8-l40s": ([node("a", gpu="l40s")], {"model": "26b-a4b", "precision": "fp8"}),
    "26b-a4b-fp8-h100": ([node("a", gpu="h100", gpus=8)], {"model": "26b-a4b", "precision": "fp8"}),
    "31b-bf16-2xh100": (
        [node("a", gpu="h100", gpus=8)],
        {"model": "31b", "precision": "bf16", "context": 131072, "concurrency": 16},
    ),
    "31b-int4-a100-40": ([node("a", gpu="a100-40", gpus=8)], {"model": "31b", "precision": "int4"}),
    "31b-mixed-labels": (
        [
            node("gfd", gpu="h100", gpus=8),
            node("gke", gpu=None, gpus=8, labels=GKE_H100, taints=[PRESENT]),
            node("small", gpu=None, labels=GKE_L4, taints=[PRESENT]),
        ],
        {"model": "31b", "precision": "fp8", "context": 65536, "accelerators": ["h100"]},
    ),
    "e4b-cpu": ([node("a", gpu=None)], {"model": "e4b", "accelerators": ["cpu"]}),
    "auto-l4": ([node("a")], {}),
    "nothing-fits": ([node("t4", gpu="t4"), node("a", gpus=1)], {"model": "31b", "precision": "bf16"}),
}


def golden(name: str) -> str:
    """The plan of a shape as text."""
    nodes, fields = SHAPES[name]
    body = plan_to_json(plan_on(inventory_of(*nodes), **fields))
    body["rejected"] = [each["reason"] for each in body["rejected"]]
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for shape in SHAPES:
        (DIRECTORY / f"{shape}.json").write_text(golden(shape), encoding="utf-8")
