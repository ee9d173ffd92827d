"""What tests wait for and look at."""

from tests.kubectl import Kubectl, Object, conditions, eventually

OWNED = "deployments,services,configmaps,secrets,poddisruptionbudgets,networkpolicies,serviceaccounts,rolebindings"


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
