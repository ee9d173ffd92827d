"""How kstatus, and so Flux, reads a GemmaDeployment; and the states of one, for all that read conditions.

The rules are those for kinds that kstatus has no rules of its own for: github.com/fluxcd/cli-utils v1.4.0,
pkg/kstatus/status, `Compute`.
"""

from collections.abc import Mapping
from typing import Any

from gemma_operator.api.crd import schema
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.reconcile.observed import Observed
from gemma_operator.reconcile.replicas import Scaler
from gemma_operator.reconcile.rollback import RolledBack
from gemma_operator.reconcile.status import compute

from tests.unit.reconcile.test_status import CASES, NOW, deployment, observed

Object = dict[str, Any]


def kstatus(obj: Mapping[str, Any]) -> str:
    """`Terminating`, `InProgress`, `Failed` or `Current`."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    generation, seen = metadata.get("generation"), status.get("observedGeneration")
    if generation is not None and seen is not None and generation != seen:
        return "InProgress"
    conditions = [(each["type"], each["status"]) for each in status.get("conditions") or ()]
    for condition in conditions:
        if condition == ("Reconciling", "True"):
            return "InProgress"
        if condition == ("Stalled", "True"):
            return "Failed"
    ready = dict(conditions).get("Ready")
    # Without any condition it has nothing to go by, and takes the object for done.
    return "Current" if ready in ("True", None) else "InProgress"


def states() -> dict[str, tuple[Object, str]]:
    """Name of a state → a GemmaDeployment in it, as the API server would return it, and what kstatus must say."""
    asleep = observed(
        spec=GemmaDeploymentSpec.model_validate({"scaling": {"min": 0}}),
        deployment=deployment(ready=0, wanted=0),
        scaler=Scaler(target=0),
    )
    taken_back = observed(rolled_back=RolledBack(inputs="x", why="it knows no flag --nonsense"))
    paused = observed(paused=True, decision=None, kept=None, deployment=None)
    changed = _with_status(observed())
    changed["metadata"] = changed["metadata"] | {"generation": changed["metadata"]["generation"] + 1}
    new = {"metadata": {"name": "chat", "generation": 1}, "status": schema()["properties"]["status"]["default"]}
    found = {
        "serves": (_with_status(observed()), "Current"),
        "sleeps": (_with_status(asleep), "Current"),
        "was just made": (new, "InProgress"),
        "was just changed": (changed, "InProgress"),
        "is paused before its first plan": (_with_status(paused), "InProgress"),
        "runs what ran before a change that failed": (_with_status(taken_back), "Failed"),
    }
    for name, (changes, _, _, active) in CASES.items():
        said = {"Reconciling": "InProgress", "Stalled": "Failed"}[active]
        found[name] = (_with_status(observed(**changes)), said)
    return found


def _with_status(seen: Observed) -> Object:
    return {**seen.obj, "status": compute(seen, now=NOW)}
