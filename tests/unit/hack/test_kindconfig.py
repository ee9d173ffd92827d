"""The configuration that kind gets."""

import json
from pathlib import Path
from typing import Any

import pytest
from localk8s import kindconfig


def shape(**changes: Any) -> kindconfig.Shape:
    values: dict[str, Any] = {
        "name": "one",
        "nodes": 1,
        "audit_folder": Path("/cache/audit/one"),
        "policy_file": Path("/cache/audit/policy.yaml"),
        "own_node_image": True,
        "cgroup_v1": True,
        "in_user_namespace": True,
    }
    return kindconfig.Shape(**{**values, **changes})


def test_the_first_node_is_the_control_plane_and_the_others_workers() -> None:
    roles = [node["role"] for node in json.loads(kindconfig.render(shape(nodes=3)))["nodes"]]
    assert roles == ["control-plane", "worker", "worker"]


def test_the_audit_log_lands_in_a_folder_of_the_host() -> None:
    document = json.loads(kindconfig.render(shape()))
    server = json.loads(document["kubeadmConfigPatches"][0])["apiServer"]
    arguments = {row["name"]: row["value"] for row in server["extraArgs"]}
    mounts = {row["containerPath"]: row["hostPath"] for row in document["nodes"][0]["extraMounts"]}
    assert mounts[str(Path(arguments["audit-log-path"]).parent)] == "/cache/audit/one"
    assert mounts[arguments["audit-policy-file"]] == "/cache/audit/policy.yaml"
    assert {volume["hostPath"] for volume in server["extraVolumes"]} == set(mounts)


def test_a_node_image_that_was_pulled_keeps_its_own_network() -> None:
    assert "networking" not in json.loads(kindconfig.render(shape(own_node_image=False)))
    assert json.loads(kindconfig.render(shape()))["networking"] == {"disableDefaultCNI": True}


@pytest.mark.parametrize("limited", [True, False])
def test_the_kubelet_is_relaxed_only_where_the_host_needs_it(limited: bool) -> None:
    document = json.loads(kindconfig.render(shape(cgroup_v1=limited, in_user_namespace=limited)))
    kubelet = json.loads(document["kubeadmConfigPatches"][1])
    assert ("failCgroupV1" in kubelet, "featureGates" in kubelet) == (limited, limited)


def test_pods_of_a_node_get_addresses_of_its_subnet() -> None:
    plugin = json.loads(kindconfig.cni_config("10.244.3.0/24"))["plugins"][0]
    assert plugin["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24"}]]
