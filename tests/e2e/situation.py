"""What a cluster looks like, for whoever reads of a failed test: its GPUs, who has them, the pods that are not well."""

from tests.kubectl import Kubectl, Object, conditions, summary

GPU = "nvidia.com/gpu"
OPERATOR_LINES = 30


def situation(kubectl: Kubectl) -> str:
    """A screen of text."""
    pods = kubectl.find("pods")
    lines = [
        *(f"node {node['metadata']['name']}: {_node(node)}" for node in kubectl.find("nodes")),
        *(f"pod {_pod(pod)}" for pod in pods if _gpus(pod) or not _is_well(pod)),
        *(
            f"namespace {space['metadata']['name']} is {space['status']['phase']}"
            for space in kubectl.find("namespaces")
            if space["status"]["phase"] != "Active"
        ),
        *(f"{obj['metadata']['namespace']}/{summary(obj)}" for obj in kubectl.find("gdep")),
        "the operators' last warnings:",
        *_warnings(kubectl),
    ]
    return "\n".join(lines)


def _node(node: Object) -> str:
    ready = conditions(node).get("Ready", {}).get("status")
    taints = [taint["key"] for taint in node["spec"].get("taints") or ()]
    allocatable = node["status"]["allocatable"]
    shown = {key: allocatable.get(key) for key in (GPU, "cpu", "memory", "ephemeral-storage", "pods")}
    return f"Ready={ready}, taints {taints}, allocatable {shown}"


def _pod(pod: Object) -> str:
    metadata, status = pod["metadata"], pod["status"]
    states = [
        f"{each['name']} {state} {details.get('reason', '')}".strip()
        for each in status.get("containerStatuses") or ()
        for state, details in each["state"].items()
    ]
    deleted = metadata.get("deletionTimestamp")
    return (
        f"{metadata['namespace']}/{metadata['name']} of {metadata['creationTimestamp']}: {status['phase']} on "
        f"{pod['spec'].get('nodeName')}, {_gpus(pod)} GPUs, {', '.join(states)}"
        + (f", to be gone by {deleted} after {metadata['deletionGracePeriodSeconds']} s" if deleted else "")
        + (f", finalizers {metadata['finalizers']}" if metadata.get("finalizers") else "")
    )


def _gpus(pod: Object) -> int:
    return sum(int(each.get("resources", {}).get("limits", {}).get(GPU, 0)) for each in pod["spec"]["containers"])


def _is_well(pod: Object) -> bool:
    return conditions(pod).get("Ready", {}).get("status") == "True" and "deletionTimestamp" not in pod["metadata"]


def _warnings(kubectl: Kubectl) -> list[str]:
    selector = ("-n", "gemma-system", "-l", "app.kubernetes.io/name=gemma-operator", "--tail=1000", "--prefix")
    lines = kubectl("logs", *selector, check=False).splitlines()
    return [line for line in lines if '"level": "info"' not in line][-OPERATOR_LINES:]
