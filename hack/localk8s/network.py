"""The pod network of clusters without a network plugin: one subnet per node, static routes between them."""

from typing import Any

from localk8s.console import LocalError, output
from localk8s.kindconfig import cni_config

CNI_FILE = "/etc/cni/net.d/10-local.conflist"


def has_subnets(nodes: list[dict[str, Any]]) -> bool:
    """Return whether the controller-manager has given every node its pod subnet."""
    return all(node["spec"].get("podCIDR") for node in nodes)


def connect(nodes: list[dict[str, Any]]) -> None:
    """Give every node its network configuration and its routes; doing it again changes nothing."""
    subnets = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in nodes}
    addresses = {node["metadata"]["name"]: _internal_address(node) for node in nodes}
    for node, subnet in subnets.items():
        _write(node, cni_config(str(subnet)))
        for other, address in addresses.items():
            if other != node:
                output(["docker", "exec", node, "ip", "route", "replace", str(subnets[other]), "via", address])


def _write(node: str, text: str) -> None:
    # The move makes it whole: containerd reads the folder as soon as a file appears.
    script = f"cat > {CNI_FILE}.new && mv {CNI_FILE}.new {CNI_FILE}"
    output(["docker", "exec", "--interactive", node, "sh", "-c", script], stdin=text)


def _internal_address(node: dict[str, Any]) -> str:
    for address in node["status"]["addresses"]:
        if address["type"] == "InternalIP":
            return str(address["address"])
    raise LocalError(f"Node {node['metadata']['name']} has no InternalIP")
