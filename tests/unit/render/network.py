"""Evaluates ingress NetworkPolicies as a cluster that enforces them would."""

from dataclasses import dataclass, field
from typing import Any

from gemma_operator.render.peers import NAMESPACE_LABEL

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod as policies see it."""

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)


def allowed(policies: list[Object], *, source: Pod, target: Pod, port: int) -> bool:
    """Whether `source` may open a TCP connection to `port` of `target`."""
    selecting = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == target.namespace
        and "Ingress" in policy["spec"]["policyTypes"]
        and _matches(policy["spec"]["podSelector"], target.labels)
    ]
    return not selecting or any(
        _rule_allows(rule, source=source, namespace=policy["metadata"]["namespace"], port=port)
        for policy in selecting
        for rule in policy["spec"].get("ingress", [])
    )


def _rule_allows(rule: Object, *, source: Pod, namespace: str, port: int) -> bool:
    ports, peers = rule.get("ports"), rule.get("from")
    if ports and not any(item["port"] == port and item.get("protocol", "TCP") == "TCP" for item in ports):
        return False
    return not peers or any(_peer_allows(peer, source=source, namespace=namespace) for peer in peers)


def _peer_allows(peer: Object, *, source: Pod, namespace: str) -> bool:
    assert set(peer) <= {"podSelector", "namespaceSelector"}, f"peer {peer} is not evaluated here"
    if "namespaceSelector" in peer:
        if not _matches(peer["namespaceSelector"], {NAMESPACE_LABEL: source.namespace}):
            return False
    elif source.namespace != namespace:
        return False
    return _matches(peer.get("podSelector", {}), source.labels)


def _matches(selector: Object, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, f"selector {selector} is not evaluated here"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
