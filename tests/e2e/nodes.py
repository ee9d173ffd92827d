"""Nodes of the load cluster that are drained, reclaimed and lost, and how they come back."""

import contextlib
import json
from collections.abc import Iterator

import stack
from localk8s import cluster
from localk8s.console import output, succeeds

from tests.e2e.conftest import LOAD_CLUSTER
from tests.e2e.objects import ENGINE, engine_pods
from tests.kubectl import Kubectl, Object, conditions, eventually

BACK_SECONDS = 120


def engine_nodes(kubectl: Kubectl, namespace: str, name: str) -> list[str]:
    """The nodes of the engine pods of a GemmaDeployment, in order of their names."""
    return sorted(pod["spec"].get("nodeName", "") for pod in engine_pods(kubectl, namespace, name))


def pods_on(kubectl: Kubectl, node: str) -> list[str]:
    """Pods of a node that a drain evicts, as `namespace/name`: all but those of DaemonSets."""
    return [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in kubectl.find("pods")
        if pod["spec"].get("nodeName") == node
        and not any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences", ()))
    ]


def router_on(kubectl: Kubectl, namespace: str, node: str) -> Object:
    """The router pod of a node: the two are spread over the two workers."""

    def found() -> list[Object]:
        pods = kubectl.find("pods", namespace=namespace, selector="app.kubernetes.io/name=gemma-router")
        return [pod for pod in pods if pod["spec"].get("nodeName") == node and is_ready(pod)]

    return eventually(found, seconds=BACK_SECONDS, what=f"a router pod on {node}")[0]


def endpoints_on(kubectl: Kubectl, namespace: str, node: str) -> list[str]:
    """Ready addresses of a node in the Services of a namespace."""
    return [
        endpoint["addresses"][0]
        for piece in kubectl.find("endpointslices", namespace=namespace)
        for endpoint in piece.get("endpoints") or ()
        if endpoint.get("nodeName") == node and endpoint["conditions"].get("ready")
    ]


def ready_on(kubectl: Kubectl, namespace: str, name: str, *, node: str, replicas: int, seconds: float) -> None:
    """Return once so many replicas are Ready, all of them on one node, and two router pods too."""
    eventually(
        lambda: engine_pods(kubectl, namespace, name),
        until=lambda pods: (
            len(pods) == replicas and all(is_ready(pod) and pod["spec"].get("nodeName") == node for pod in pods)
        ),
        seconds=seconds,
        what=f"{replicas} replicas on {node}",
    )
    eventually(
        lambda: kubectl.get("deployment", "gemma-router", namespace=namespace)["status"],
        until=lambda status: status.get("readyReplicas") == 2,
        seconds=seconds,
        what="two router pods",
    )


def is_ready(obj: Object) -> bool:
    """Whether a node or a pod is Ready."""
    return conditions(obj).get("Ready", {}).get("status") == "True"


def drain(kubectl: Kubectl, node: str, *, seconds: float) -> None:
    """`kubectl drain` of all that a node runs; fails when that takes longer."""
    options = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={seconds:.0f}s")
    kubectl("drain", node, *options, timeout=seconds + 20)


def kill(node: str) -> None:
    """End a node as a power cut does: no process of it gets a signal that it could answer."""
    output(["docker", "kill", node])


@contextlib.contextmanager
def comes_back(kubectl: Kubectl, node: str) -> Iterator[None]:
    """A node that is as new when the block ends, whatever happened to it."""
    try:
        yield
    finally:
        if succeeds(["docker", "exec", node, "true"]):
            kubectl("uncordon", node, check=False)
            kubectl("taint", "node", node, "reclaimed-", check=False)
        else:
            # What the API still says of the node must not be taken for its return.
            kubectl("delete", "node", node, "--ignore-not-found")
            cluster.up(LOAD_CLUSTER, nodes=3)
            stack.advertise(LOAD_CLUSTER, stack.L4)
        eventually(
            lambda: kubectl.get("node", node),
            until=lambda found: is_ready(found) and "nvidia.com/gpu" in found["status"]["allocatable"],
            seconds=BACK_SECONDS,
            what=f"{node} is back, with its GPUs",
        )


class Watched:
    """Engine pods that live at the same time, from a watch: no state between two looks is missed."""

    def __init__(self) -> None:
        self.most = 0
        self._live: set[str] = set()

    def take(self, line: str) -> None:
        """One line of the watch: what happened, the uid of a pod, and when it was told to end."""
        match line.split():
            case ["DELETED", uid, *_] | [_, uid, _]:
                self._live.discard(uid)
            case [_, uid]:
                self._live.add(uid)
        self.most = max(self.most, len(self._live))


@contextlib.contextmanager
def replicas_watched(kubectl: Kubectl, namespace: str, name: str) -> Iterator[Watched]:
    """The most engine pods of a GemmaDeployment that live at once while the block lasts."""
    watched = Watched()
    template = "{.type} {.object.metadata.uid} {.object.metadata.deletionTimestamp}{'\\n'}"
    watch = ("--watch", "--output-watch-events", "-o", f"jsonpath={template}")
    process = kubectl.start("get", "pods", "-n", namespace, "-l", f"{ENGINE},gemma4stack.dev/deployment={name}", *watch)
    try:
        yield watched
    finally:
        process.kill()
        read, _ = process.communicate()
        for line in read.splitlines():
            watched.take(line)


def decided(obj: Object) -> str:
    """What the scaler of a GemmaDeployment decided, for a failed assertion."""
    return json.dumps(obj["status"].get("decisions", ()), indent=1)
