"""A deployment that a few streams per second keep busy."""

import json

from tests.e2e.chat import router_client, until_answered
from tests.e2e.objects import until_ready
from tests.kubectl import Kubectl, Object, eventually, gemma

NAME = "chat"


def deploy(kubectl: Kubectl, namespace: str, **spec: object) -> Object:
    """A deployment `chat` whose replicas run two requests at once, twelve tokens a second each; Ready and answering."""
    pod = {
        "env": [{"name": "STANDIN_TOKENS_PER_SECOND", "value": "12"}],
        "extraArgs": ["--max-num-seqs=2"],
    }
    kubectl.apply(gemma(NAME, {"model": "e2b", "pod": pod, **spec}), namespace=namespace)
    obj = until_ready(kubectl, namespace, NAME)
    kubectl("rollout", "status", "deployment/gemma-router", "-n", namespace, "--timeout=180s", timeout=190)
    with router_client(kubectl, namespace) as client:
        until_answered(client, NAME)
    return obj


def patch(kubectl: Kubectl, namespace: str, change: Object) -> None:
    """Change its spec."""
    kubectl("patch", "gdep", NAME, "-n", namespace, "--type=merge", "-p", json.dumps({"spec": change}))


def until_replicas(kubectl: Kubectl, namespace: str, *, at_least: int = 0, at_most: int = 99, seconds: float) -> Object:
    """The object once so many replicas serve."""
    return eventually(
        lambda: kubectl.get("gdep", NAME, namespace=namespace),
        until=lambda obj: at_least <= obj["status"].get("readyReplicas", 0) <= at_most,
        seconds=seconds,
        what=f"{at_least} to {at_most} replicas serve",
    )
