"""The configuration that `kind create cluster` gets; pure."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AUDIT_FOLDER = "/var/log/kubernetes-audit"
AUDIT_POLICY = "/etc/kubernetes/audit/policy.yaml"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a cluster is made like."""

    name: str
    nodes: int
    audit_folder: Path
    policy_file: Path
    own_node_image: bool
    cgroup_v1: bool
    in_user_namespace: bool


def render(shape: Shape) -> str:
    """Return the configuration: one control plane, the other nodes workers. JSON is YAML."""
    document: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": shape.name,
        "nodes": [_control_plane(shape), *({"role": "worker"} for _ in range(shape.nodes - 1))],
        "kubeadmConfigPatches": [json.dumps(_api_server(shape)), json.dumps(_kubelet(shape))],
    }
    if shape.own_node_image:
        # kindnetd is no Go module and cannot be built: cluster.py sets the pod network up itself.
        document["networking"] = {"disableDefaultCNI": True}
    return json.dumps(document, indent=1)


def _control_plane(shape: Shape) -> dict[str, Any]:
    return {
        "role": "control-plane",
        "extraMounts": [
            {"hostPath": str(shape.audit_folder), "containerPath": AUDIT_FOLDER},
            {"hostPath": str(shape.policy_file), "containerPath": AUDIT_POLICY, "readOnly": True},
        ],
    }


def _api_server(shape: Shape) -> dict[str, Any]:
    arguments = {
        "audit-policy-file": AUDIT_POLICY,
        "audit-log-path": f"{AUDIT_FOLDER}/audit.log",
        "audit-log-maxsize": "2048",
    }
    volumes = [
        {"name": "audit-policy", "hostPath": AUDIT_POLICY, "readOnly": True, "pathType": "File"},
        {"name": "audit-log", "hostPath": AUDIT_FOLDER, "readOnly": False, "pathType": "DirectoryOrCreate"},
    ]
    return {
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": [{"name": name, "value": value} for name, value in arguments.items()],
            "extraVolumes": [{**volume, "mountPath": volume["hostPath"]} for volume in volumes],
        },
    }


def _kubelet(shape: Shape) -> dict[str, Any]:
    settings: dict[str, Any] = {"kind": "KubeletConfiguration"}
    if shape.cgroup_v1:
        settings["failCgroupV1"] = False
    if shape.in_user_namespace:
        # Lets the kubelet start where it may not set sysctls and OOM scores.
        settings["featureGates"] = {"KubeletInUserNamespace": True}
    return settings


def cni_config(subnet: str) -> str:
    """Return the network configuration of a node whose pods get addresses of `subnet`."""
    return json.dumps(
        {
            "cniVersion": "0.4.0",
            "name": "local",
            "plugins": [
                {
                    "type": "ptp",
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": "/run/cni-ipam-state",
                        "routes": [{"dst": "0.0.0.0/0"}],
                        "ranges": [[{"subnet": subnet}]],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        },
        indent=1,
    )
