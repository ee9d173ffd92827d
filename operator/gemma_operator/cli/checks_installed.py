"""Checks of `kubectl gemma doctor`: what must be installed. Pure."""

from collections.abc import Iterator
from typing import Final

from gemma_operator import __version__
from gemma_operator.api import names
from gemma_operator.cli.findings import Case, Check, fail, hidden, ok, warn
from gemma_operator.cluster.resources import Object
from gemma_operator.planner.text import count
from gemma_operator.reconcile.pods import is_ready

_OLDEST: Final = (1, 30)


def api(case: Case) -> Iterator[Check]:
    """The API server's version."""
    digits = case.seen.version.split(".")
    if len(digits) != 2 or not all(part.isdigit() for part in digits):
        yield warn("kubernetes", "the API server does not tell its version", "use Kubernetes 1.30 or newer")
    elif (int(digits[0]), int(digits[1])) < _OLDEST:
        yield fail("kubernetes", f"version {case.seen.version} is too old", "use Kubernetes 1.30 or newer")
    else:
        yield ok("kubernetes", f"version {case.seen.version}")


def crd(case: Case) -> Iterator[Check]:
    """The CustomResourceDefinition."""
    install = "install the chart: helm upgrade gemma charts/gemma4-stack --install -n gemma-system --create-namespace"
    crd = case.seen.crd
    if crd is None:
        if "crd" in case.seen.hidden and case.seen.gemma_deployments is not None:
            yield ok("crd", f"the API server serves {names.PLURAL}")
        else:
            yield fail("crd", f"there is no CustomResourceDefinition {names.PLURAL}.{names.GROUP}", install)
        return
    served = [each["name"] for each in crd["spec"]["versions"] if each.get("served")]
    conditions = {c["type"]: c["status"] for c in (crd.get("status") or {}).get("conditions") or ()}
    if names.VERSION not in served:
        yield fail(
            "crd", f"it serves {', '.join(served) or 'nothing'}, and this version wants {names.VERSION}", install
        )
    elif conditions.get("Established") != "True":
        yield fail("crd", "the API server has not accepted it", f"kubectl describe crd {names.PLURAL}.{names.GROUP}")
    else:
        yield ok("crd", f"{names.API_VERSION} is served")


def operator(case: Case) -> Iterator[Check]:
    """The operator's Deployment and pods."""
    seen = case.seen
    if seen.operators is None:
        yield from hidden(case, "operator", "operators")
        return
    if not seen.operators:
        yield fail("operator", "no operator is installed", "helm upgrade gemma charts/gemma4-stack --install")
        return
    for each in seen.operators:
        metadata, ready = each["metadata"], (each.get("status") or {}).get("readyReplicas", 0)
        where = f"{metadata['namespace']}/{metadata['name']}"
        if not ready:
            pods = [pod for pod in seen.operator_pods or () if pod["metadata"]["namespace"] == metadata["namespace"]]
            why = "; ".join(filter(None, (_why_not(pod) for pod in pods))) or "it has no ready pod"
            yield fail(
                "operator", f"{where}: {why}", f"kubectl logs -n {metadata['namespace']} deployment/{metadata['name']}"
            )
            continue
        image = each["spec"]["template"]["spec"]["containers"][0]["image"]
        tag = image.rpartition(":")[2] if ":" in image.rpartition("/")[2] and "@" not in image else ""
        if tag and tag[0].isdigit() and tag != __version__:
            yield warn(
                "operator",
                f"{where} runs version {tag} and this command is {__version__}",
                "use the same version of both, or previews may differ from what the operator decides",
            )
        else:
            yield ok("operator", f"{where}: {count(ready, 'pod')} ready")


def _why_not(pod: Object) -> str:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return f"pod {pod['metadata']['name']}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"pod {pod['metadata']['name']}: {condition.get('message', 'not scheduled')}"
    return "" if is_ready(pod) else f"pod {pod['metadata']['name']} is not ready"


def metrics(case: Case) -> Iterator[Check]:
    """Whether metrics flow: the operator's own, and those that it scales by."""
    seen = case.seen
    if seen.metrics is not None:
        if "gemma_operator_" in seen.metrics:
            yield ok("metrics", "the operator's metrics are reached through the API server")
        else:
            yield warn(
                "metrics", "the operator answers, but with none of its metrics", "is another program on its port?"
            )
    elif "metrics" in seen.hidden:
        yield from hidden(case, "metrics", "metrics")
    elif seen.operator_pods:
        yield warn("metrics", "no operator pod runs that could be asked", "see the check of the operator")
    for obj in seen.gemma_deployments or ():
        for condition in (obj.get("status") or {}).get("conditions") or ():
            if condition["type"] == "ScalingActive" and condition["reason"] == "NoMetrics":
                yield warn(
                    "metrics",
                    f"{obj['metadata']['name']}: {condition['message']}",
                    "let the operator reach port 8000 of engine pods and the router's state port (NetworkPolicies)",
                )
