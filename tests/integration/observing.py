"""What tests wait for and look at."""

import time
from pathlib import Path

from localk8s.controlplane import ControlPlane

from tests.integration.audit import AuditLog
from tests.kubectl import Kubectl, Object, conditions, eventually

OWNED = "deployments,services,configmaps,secrets,poddisruptionbudgets,networkpolicies,serviceaccounts,rolebindings"
CRDS = Path(__file__).parents[2] / "crds"
OPERATOR_AGENT = "gemma-operator/"


def define(kubectl: Kubectl) -> None:
    """Have the API server know GemmaDeployments."""
    kubectl("apply", "--server-side", "-f", str(CRDS))
    eventually(
        lambda: conditions(kubectl.get("crd", "gemmadeployments.gemma4stack.dev")).get("Established", {}),
        until=lambda found: found.get("status") == "True",
        seconds=60,
        what="the API server serves GemmaDeployments",
    )


def ready(kubectl: Kubectl, name: str, namespace: str, *, seconds: float = 60) -> Object:
    """The object once it is Ready for its present generation."""

    def is_ready(obj: Object) -> bool:
        condition = conditions(obj).get("Ready", {})
        return (condition.get("status"), condition.get("observedGeneration")) == ("True", obj["metadata"]["generation"])

    return eventually(
        lambda: kubectl.get("gdep", name, namespace=namespace), until=is_ready, seconds=seconds, what=f"{name} is Ready"
    )


def owned_names(kubectl: Kubectl, namespace: str) -> set[str]:
    """Objects in a namespace, without those that Kubernetes itself puts there."""
    return {
        f"{obj['kind']}/{obj['metadata']['name']}"
        for obj in kubectl.find(OWNED, namespace=namespace)
        if obj["metadata"]["name"] not in ("default", "kube-root-ca.crt")
    }


def settled(control_plane: ControlPlane, *, beats: float, seconds: float = 120) -> None:
    """Wait until the operator has written nothing for longer than its slowest beat, in seconds, takes."""
    log = AuditLog(control_plane.audit_log, agent=OPERATOR_AGENT)
    last = time.monotonic()

    def silence() -> float:
        nonlocal last
        if log.writes():
            log.restart()
            last = time.monotonic()
        return time.monotonic() - last

    eventually(silence, until=lambda quiet: quiet > beats, seconds=seconds, what="the operator is done")
