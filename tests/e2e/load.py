"""Streams that go on in the cluster while something happens, and what came of each of them."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.chat import ROUTER
from tests.kubectl import Kubectl, Object, eventually

SCRIPT = Path(__file__).parent / "load_generator.py"
IMAGE = "local/gemma-operator:dev"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@dataclass(slots=True)
class Load:
    """A load that runs; the rest is filled in when it has ended."""

    sent: int = 0
    results: dict[str, int] = field(default_factory=dict)
    lost: list[float] = field(default_factory=list)
    """When each stream began that was not completed, in seconds since the epoch."""

    def __str__(self) -> str:
        count: Counter[str] = Counter()
        for result, times in self.results.items():
            count[result.partition(":")[0].partition(" ")[0]] += times
        kinds = ("completed", "failed", "truncated", "refused")
        return f"sent {self.sent}, " + ", ".join(f"{kind} {count[kind]}" for kind in kinds)

    def check(self, *, at_least: int) -> None:
        """Print what came of the streams, and fail unless each of them is complete."""
        print(self)
        assert self.sent >= at_least, self.results
        assert self.results == {"completed": self.sent}, self.results


@contextlib.contextmanager
def load(
    kubectl: Kubectl,
    namespace: str,
    model: str,
    *,
    rate: float,
    tokens: int,
    count: int = 0,
    url: str = f"http://{ROUTER}",
    pod: str = "load",
) -> Iterator[Load]:
    """So many streaming requests per second from a pod of the namespace while the block lasts; then all may end.

    With `count` it sends so many, however long the block lasts.
    """
    command = [url, model, str(rate), str(tokens), str(count)]
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": f"{ROUTER}-keys", "key": "default"}}}
    kubectl.apply(script(SCRIPT), script_pod(pod, SCRIPT, command, env=[key]), namespace=namespace)
    kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "-n", namespace, "--timeout=60s", timeout=70)
    running = Load()
    try:
        yield running
        if not count:
            kubectl("exec", pod, "-n", namespace, "--", "sh", "-c", "kill -TERM 1")
        until_ended(kubectl, namespace, pod=pod)
        told = json.loads(kubectl("logs", pod, "-n", namespace).splitlines()[-1])
        running.sent, running.results, running.lost = told["sent"], told["results"], told["lost"]
    finally:
        kubectl("delete", "pod", pod, "-n", namespace, "--force", "--grace-period=0", check=False)


def until_ended(kubectl: Kubectl, namespace: str, *, pod: str = "load") -> None:
    """Wait until every stream of a load that sends no more has ended."""
    eventually(
        lambda: kubectl.get("pod", pod, namespace=namespace)["status"]["phase"],
        until=lambda phase: phase in ("Succeeded", "Failed"),
        seconds=400,
        what="every stream has ended",
    )


def script(file: Path) -> Object:
    """A ConfigMap with a script, for `script_pod`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": file.stem.replace("_", "-")},
        "data": {file.name: file.read_text()},
    }


def script_pod(
    name: str,
    file: Path,
    arguments: list[str],
    *,
    image: str = IMAGE,
    env: Sequence[Object] = (),
    labels: Mapping[str, str] | None = None,
) -> Object:
    """A pod that runs a script on the control plane: no worker that is drained or lost takes it along."""
    container = {
        "name": "script",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", f"/scripts/{file.name}", *arguments],
        "env": list(env),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "script", "mountPath": "/scripts"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {
            "nodeSelector": {CONTROL_PLANE: ""},
            "tolerations": [{"key": CONTROL_PLANE, "operator": "Exists"}],
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [
                {"name": "script", "configMap": {"name": file.stem.replace("_", "-")}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
    }
