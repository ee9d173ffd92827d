"""Pod requests, against the rules that the scheduler follows."""

from typing import Any

import pytest
from gemma_operator.inventory.requests import pod_requests

GIB = 2**30


def container(**requests: str) -> dict[str, Any]:
    return {"resources": {"requests": {key.replace("gpu", "nvidia.com/gpu"): value for key, value in requests.items()}}}


def sidecar(**requests: str) -> dict[str, Any]:
    return {**container(**requests), "restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("spec", "cpu", "memory", "gpus"),
    [
        ({"containers": [container(cpu="1", memory="1Gi"), container(cpu="500m", gpu="1")]}, 1500, 1, 1),
        # An init container runs alone: only the larger of the two phases counts.
        ({"containers": [container(cpu="1")], "initContainers": [container(cpu="3", memory="2Gi")]}, 3000, 2, 0),
        # A sidecar runs beside the containers.
        ({"containers": [container(cpu="1")], "initContainers": [sidecar(cpu="1", memory="1Gi")]}, 2000, 1, 0),
        # An init container runs beside the sidecars that were started before it, not beside later ones.
        (
            {
                "containers": [container(cpu="1")],
                "initContainers": [sidecar(cpu="1"), container(cpu="4"), sidecar(cpu="2")],
            },
            5000,
            0,
            0,
        ),
        ({"containers": [container(gpu="2")], "initContainers": [container(gpu="4")]}, 0, 0, 4),
        ({"containers": [container(cpu="1")], "overhead": {"cpu": "250m", "memory": "1Gi"}}, 1250, 1, 0),
        # The API server turns a limit without a request into a request.
        ({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2", "memory": "3Gi"}}}]}, 0, 3, 2),
        # Resources of the whole pod win over the sum of its containers.
        (
            {"containers": [container(cpu="1", gpu="1")], "resources": {"requests": {"cpu": "6", "memory": "8Gi"}}},
            6000,
            8,
            1,
        ),
        ({"containers": [{}]}, 0, 0, 0),
    ],
)
def test_requests(spec, cpu, memory, gpus):
    found = pod_requests(spec)
    assert found.cpu_millis == cpu
    assert found.memory == memory * GIB
    assert found.devices.get("nvidia.com/gpu", 0) == gpus
    assert found.pods == 1
