"""Labels → accelerator is unambiguous, and the selector terms lead back to exactly those nodes."""

from collections.abc import Mapping
from typing import Any

import pytest
from gemma_operator.catalog.identify import driver_label, driver_major, identify, selector_terms, shares
from gemma_operator.catalog.load import load_catalog
from gemma_operator.catalog.types import Accelerator

from tests.unit.catalog.nodes import GPU, NODES, NodeLabels, gfd, mixed

CATALOG = load_catalog()


def carried(node: NodeLabels) -> Accelerator | None:
    found = identify(labels=node.labels, resources=[node.resource], catalog=CATALOG)
    assert len(found) <= 1
    assert all(match.resource == node.resource for match in found)
    return found[0].accelerator if found else None


def selects(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """What the scheduler decides about one term."""
    for item in term["matchExpressions"]:
        value = labels.get(item["key"])
        match item["operator"]:
            case "In":
                good = value in item["values"]
            case "DoesNotExist":
                good = value is None
            case "Gt":
                good = value is not None and value.isdigit() and int(value) > int(item["values"][0])
            case "Lt":
                good = value is not None and value.isdigit() and int(value) < int(item["values"][0])
            case other:
                raise AssertionError(other)
        if not good:
            return False
    return True


@pytest.mark.parametrize("node", NODES, ids=[f"{node.row}-{index}" for index, node in enumerate(NODES)])
def test_label_set(node: NodeLabels) -> None:
    row = carried(node)
    assert (row.name if row else None) == node.row


@pytest.mark.parametrize("node", [node for node in NODES if node.row], ids=lambda node: node.row)
def test_terms_select_their_own_nodes_and_no_other(node: NodeLabels) -> None:
    row = carried(node)
    assert row is not None
    terms = selector_terms(accelerator=row, labels=[node.labels])
    assert len(terms) == 1
    assert selects(terms[0], node.labels)
    for other in NODES:
        if other.resource == node.resource and selects(terms[0], other.labels):
            # MIG mixed nodes carry the whole GPU's product label too; the resource tells them apart.
            assert other.row == node.row or other.row is None, other


def test_one_term_per_way_of_labelling() -> None:
    nodes = [node.labels for node in NODES if node.row == "l4"]
    terms = selector_terms(accelerator=CATALOG.accelerators["l4"], labels=[*nodes, *nodes])
    keys = sorted(term["matchExpressions"][0]["key"] for term in terms)
    assert keys == [
        "cloud.google.com/gke-accelerator",
        "eks.amazonaws.com/instance-gpu-memory",
        "karpenter.k8s.aws/instance-gpu-memory",
        "node.kubernetes.io/instance-type",
        "nvidia.com/gpu.product",
    ]
    assert all(any(selects(term, labels) for term in terms) for labels in nodes)
    assert terms == selector_terms(accelerator=CATALOG.accelerators["l4"], labels=reversed(nodes))


def test_terms_of_nodes_that_carry_something_else_are_empty() -> None:
    nodes = [node.labels for node in NODES if node.row == "h100"]
    assert selector_terms(accelerator=CATALOG.accelerators["l4"], labels=nodes) == ()


def test_rows_outside_the_table_come_from_gfd() -> None:
    row = carried(gfd("NVIDIA-H20", 97871, None, capability="9.0"))
    assert row is not None
    assert row.name == "nvidia-h20-95gib"
    assert row.made_up
    assert (row.bf16, row.fp8, row.nvfp4) == (True, True, False)
    assert row.bandwidth == 2000e9, "the slowest row of compute capability 9.0"
    assert row.price_per_hour is None
    assert "bandwidth" in row.inferred
    assert 0 <= 97871 * 2**20 - row.memory_bytes < 256 * 2**20


def test_slightly_different_memory_makes_the_same_made_up_row() -> None:
    one = carried(gfd("NVIDIA-H20", 97871, None, capability="9.0"))
    other = carried(gfd("NVIDIA-H20", 97870, None, capability="9.0"))
    assert one == other


def test_made_up_row_is_selected_again() -> None:
    node = gfd("NVIDIA-H20", 97871, None, capability="9.0")
    row = carried(node)
    assert row is not None
    (term,) = selector_terms(accelerator=row, labels=[node.labels])
    assert selects(term, node.labels)
    assert not selects(term, gfd("NVIDIA-H20", 143771, None).labels)


def test_other_memory_than_the_table_is_another_gpu() -> None:
    row = carried(gfd("NVIDIA-H200", 120000, None, capability="9.0"))
    assert row is not None
    assert row.made_up
    assert row.memory_bytes < 120001 * 2**20


def test_gfd_without_capability_is_not_guessed() -> None:
    assert carried(gfd("NVIDIA-H20", 97871, None)) is None


def test_unknown_partition_of_a_known_gpu_shares_its_bandwidth() -> None:
    node = mixed("NVIDIA-H200", "1g.18gb", 16384, None)
    labels = {**node.labels, "nvidia.com/gpu.compute.major": "9", "nvidia.com/gpu.compute.minor": "0"}
    (match,) = identify(labels=labels, resources=[node.resource], catalog=CATALOG)
    h200 = CATALOG.accelerators["h200"]
    assert match.accelerator.bandwidth == pytest.approx(h200.bandwidth * 16384 / 143771, rel=1e-3)
    assert match.accelerator.resource == "nvidia.com/mig-1g.18gb"


def test_several_resources_on_one_node() -> None:
    node = mixed("NVIDIA-A100-SXM4-40GB", "3g.20gb", 19968, None)
    labels = {
        **node.labels,
        "nvidia.com/mig-1g.5gb.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb",
        "nvidia.com/mig-1g.5gb.memory": "4864",
    }
    resources = ["cpu", "nvidia.com/mig-3g.20gb", "memory", "nvidia.com/mig-1g.5gb", GPU]
    found = identify(labels=labels, resources=resources, catalog=CATALOG)
    assert [(match.resource, match.accelerator.name) for match in found] == [
        (GPU, "a100-40"),
        ("nvidia.com/mig-1g.5gb", "a100-40-mig-1g.5gb"),
        ("nvidia.com/mig-3g.20gb", "a100-40-mig-3g.20gb"),
    ]


def test_a_share_is_a_part_and_only_listed() -> None:
    row = carried(gfd("NVIDIA-L4-SHARED", 23034, None, **{"nvidia.com/gpu.replicas": "4"}))
    l4 = CATALOG.accelerators["l4"]
    assert row is not None
    assert row.shared
    assert row.shares == 4
    assert row.memory_bytes == l4.memory_bytes // 4
    assert row.bandwidth == l4.bandwidth / 4
    assert row.answers_to("l4-shared")
    assert row.answers_to("l4-shared-4")
    assert not row.answers_to("l4")


def test_a_single_strategy_partition_answers_to_its_profile() -> None:
    row = carried(gfd("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", 4864, None))
    assert row is not None
    assert row.resource == GPU
    assert row.answers_to("a100-40-mig-1g.5gb")


def test_shares_of_a_node() -> None:
    assert shares({}) == 1
    assert shares({"nvidia.com/gpu.product": "NVIDIA-L4-SHARED"}) == 2
    assert shares({"cloud.google.com/gke-max-shared-clients-per-gpu": "6"}) == 6


@pytest.mark.parametrize(
    ("labels", "label", "major"),
    [
        ({"nvidia.com/cuda.driver-version.major": "580"}, "nvidia.com/cuda.driver-version.major", 580),
        ({"nvidia.com/cuda.driver.major": "535"}, "nvidia.com/cuda.driver.major", 535),
        ({"nvidia.com/cuda.driver-version.full": "550.90.07"}, "nvidia.com/cuda.driver-version.full", 550),
        ({"nvidia.com/cuda.driver.major": ""}, None, None),
        ({}, None, None),
    ],
)
def test_driver(labels: dict[str, str], label: str | None, major: int | None) -> None:
    assert driver_label(labels) == label
    assert driver_major(labels) == major


def test_cpu_is_selected_by_architecture() -> None:
    (term,) = selector_terms(accelerator=CATALOG.accelerators["cpu"], labels=[{"kubernetes.io/arch": "amd64"}])
    assert selects(term, {"kubernetes.io/arch": "amd64"})
    assert not selects(term, {"kubernetes.io/arch": "arm64"})


def test_every_identification_of_the_table_finds_its_row() -> None:
    for row in CATALOG.accelerators.values():
        for found in row.identifications:
            if row.resource is None:
                continue
            for value in next(iter(found.labels.values())):
                labels = {label: values[0] for label, values in found.labels.items()}
                labels[next(iter(found.labels))] = value
                if found.memory_label and found.memory_mib:
                    labels[found.memory_label] = str(sum(found.memory_mib) // 2)
                resource = found.resource or row.resource
                (match,) = identify(labels=labels, resources=[resource], catalog=CATALOG)
                assert match.accelerator.answers_to(row.name), (labels, match.accelerator.name)
