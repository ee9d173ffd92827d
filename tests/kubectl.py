"""kubectl and the bare API for tests: one cluster, answers as Python values, waiting with a deadline."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Object = dict[str, Any]
T = TypeVar("T")
POLL_SECONDS = 0.2


class KubectlError(AssertionError):
    """kubectl ended with an error; its words are the message."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl bound to one cluster."""

    binary: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str = "", timeout: float = 60, check: bool = True) -> str:
        """Standard output of one call; raises KubectlError with standard error when it fails."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        if check and done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def run(self, *arguments: str, stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """The finished call, whatever came of it."""
        return subprocess.run(
            [self.binary, "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A call that goes on, such as port-forward; the caller ends it."""
        return subprocess.Popen(
            [self.binary, "--kubeconfig", self.kubeconfig, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def apply(self, *objects: Object, namespace: str | None = None) -> str:
        """`kubectl apply` of objects, with the strict validation that it has by default."""
        scope = ["-n", namespace] if namespace else []
        return self("apply", *scope, "-f", "-", stdin=as_list(objects))

    def refused(self, *objects: Object, namespace: str | None = None) -> str:
        """The words with which `kubectl apply` refuses objects; fails when it accepts them."""
        scope = ["-n", namespace] if namespace else []
        done = self.run("apply", *scope, "-f", "-", stdin=as_list(objects))
        assert done.returncode != 0, f"accepted: {done.stdout}"
        return done.stderr

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object:
        """One object; raises KubectlError when it does not exist."""
        scope = ["-n", namespace] if namespace else []
        found: Object = json.loads(self("get", kind, name, *scope, "-o", "json"))
        return found

    def find(self, kind: str, *, namespace: str | None = None, selector: str = "") -> list[Object]:
        """All objects of a kind (or several, comma-separated), in one namespace or in all."""
        scope = ["-n", namespace] if namespace else ["-A"]
        labels = ["-l", selector] if selector else []
        items: list[Object] = json.loads(self("get", kind, *scope, *labels, "-o", "json"))["items"]
        return items


def as_list(objects: tuple[Object, ...]) -> str:
    """Objects as one JSON document that kubectl reads."""
    if len(objects) == 1:
        return json.dumps(objects[0])
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def gemma(name: str, spec: Object | None = None, **metadata: Any) -> Object:
    """A GemmaDeployment."""
    return {
        "apiVersion": "gemma4stack.dev/v1alpha1",
        "kind": "GemmaDeployment",
        "metadata": {"name": name, **metadata},
        "spec": spec or {},
    }


def conditions(obj: Object) -> dict[str, Object]:
    """Conditions of an object by type."""
    return {condition["type"]: condition for condition in obj.get("status", {}).get("conditions") or ()}


def includes(stored: object, written: object) -> bool:
    """Whether everything that was written is stored; the API server adds fields with defaults."""
    if isinstance(written, dict):
        return isinstance(stored, dict) and all(includes(stored.get(key), value) for key, value in written.items())
    if isinstance(written, list):
        return isinstance(stored, list) and len(stored) == len(written) and all(map(includes, stored, written))
    return stored == written


def shown(value: object, *, most: int = 3000) -> str:
    """A value for an error message."""
    if isinstance(value, dict) and value.get("kind") == "GemmaDeployment":
        text = summary(value)
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=repr, indent=1)
    return text if len(text) <= most else text[:most] + "…"


def summary(obj: Object) -> str:
    """What a GemmaDeployment says of itself: a line for it, and one for each condition."""
    metadata, status = obj["metadata"], obj.get("status", {})
    lines = [
        f"{metadata['name']} of generation {metadata['generation']}: {status.get('phase')}, ready {status.get('ready')}"
    ]
    for each in status.get("conditions") or ():
        lines.append(
            f"  {each['type']}={each['status']}/{each['reason']} of generation {each.get('observedGeneration')} "
            f"since {each['lastTransitionTime']}: {each['message']}"
        )
    return "\n".join(lines)


def eventually(probe: Callable[[], T], *, until: Callable[[T], object] = bool, seconds: float, what: str) -> T:
    """The first value of `probe` that satisfies `until`; fails with the last value or error after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = probe()
            seen: object = value
            if until(value):
                return value
        except (KubectlError, KeyError, IndexError, OSError) as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not after {seconds:.0f} s; last seen: {shown(seen)}")
        time.sleep(POLL_SECONDS)
