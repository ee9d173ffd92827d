"""What the operator makes, and waiting for its conditions."""

from tests.kubectl import Kubectl, Object, conditions, eventually

READY_SECONDS = 180
OWNED_KINDS = (
    "deployments,replicasets,pods,services,configmaps,secrets,serviceaccounts,persistentvolumeclaims,"
    "poddisruptionbudgets,networkpolicies,rolebindings,endpointslices"
)
ENGINE = "app.kubernetes.io/name=gemma-engine"


def condition(kubectl: Kubectl, namespace: str, name: str, kind: str) -> Object:
    """One condition of a GemmaDeployment; raises KeyError while it has none of that type."""
    return conditions(kubectl.get("gdep", name, namespace=namespace))[kind]


def until_condition(
    kubectl: Kubectl, namespace: str, name: str, *, kind: str, status: str, reason: str = "", seconds: float
) -> Object:
    """The object once a condition of the current generation has a status and reason."""

    def holds(obj: Object) -> bool:
        found = conditions(obj).get(kind, {})
        return (
            found.get("status") == status
            and (not reason or found.get("reason") == reason)
            and found.get("observedGeneration") == obj["metadata"]["generation"]
        )

    return eventually(
        lambda: kubectl.get("gdep", name, namespace=namespace),
        until=holds,
        seconds=seconds,
        what=f"{name} {kind}={status}/{reason or '*'}",
    )


def until_ready(kubectl: Kubectl, namespace: str, name: str, *, seconds: float = READY_SECONDS) -> Object:
    """The object once it is Ready in its current generation."""
    return until_condition(kubectl, namespace, name, kind="Ready", status="True", seconds=seconds)


def engine_pods(kubectl: Kubectl, namespace: str, name: str) -> list[Object]:
    """Engine pods of a GemmaDeployment that are not terminating."""
    pods = kubectl.find("pods", namespace=namespace, selector=f"{ENGINE},gemma4stack.dev/deployment={name}")
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def leader(kubectl: Kubectl) -> Object:
    """The pod of the operator that works; raises KeyError while none does."""
    holder = kubectl.get("lease", "gemma-operator", namespace="gemma-system")["spec"]["holderIdentity"]
    name = holder.rpartition("_")[0]
    return {pod["metadata"]["name"]: pod for pod in kubectl.find("pods", namespace="gemma-system")}[name]


def left_over(kubectl: Kubectl, namespace: str) -> list[str]:
    """Everything in a namespace that Kubernetes itself does not put there."""
    return [
        f"{obj['kind']}/{obj['metadata']['name']}"
        for obj in kubectl.find(OWNED_KINDS, namespace=namespace)
        if (obj["kind"], obj["metadata"]["name"])
        not in {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
    ]
