"""The labels of a node that claims to have GPUs."""

import pytest
from localk8s import gpus
from localk8s.console import LocalError


def test_labels_are_those_of_gpu_feature_discovery() -> None:
    wanted = gpus.Gpus(product="NVIDIA-L4", memory_mib=23034, count=4, compute=(8, 9), driver="580.95.05", cuda="13.0")
    labels = gpus.labels(wanted)
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-L4"
    assert labels["nvidia.com/gpu.memory"] == "23034"
    assert labels["nvidia.com/gpu.count"] == "4"
    assert (labels["nvidia.com/gpu.compute.major"], labels["nvidia.com/gpu.compute.minor"]) == ("8", "9")
    assert (labels["nvidia.com/cuda.driver.major"], labels["nvidia.com/cuda.driver-version.full"]) == (
        "580",
        "580.95.05",
    )
    assert labels["nvidia.com/gpu.family"] == "ada-lovelace"


@pytest.mark.parametrize("text", ["8", "8.", "a.b", "8.9.1"])
def test_a_compute_capability_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(LocalError, match=r"MAJOR\.MINOR"):
        gpus.version(text)
