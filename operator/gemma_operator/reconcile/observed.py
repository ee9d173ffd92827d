"""What one reconcile saw and decided: the input of status."""

from dataclasses import dataclass, field

from gemma_operator.api.errors import Terminal
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cluster.resources import Object
from gemma_operator.planner.types import Plan, Pool
from gemma_operator.reconcile.diagnosis import Diagnosis
from gemma_operator.reconcile.kept import KeptPlan
from gemma_operator.reconcile.replicas import Scaler
from gemma_operator.reconcile.rollback import RolledBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a GemmaDeployment runs from now on."""

    plan: Plan | KeptPlan
    pools: tuple[Pool, ...]
    """Empty when nothing fits; what runs already then goes on."""
    spare: bool
    """Whether free GPUs for one replica more exist, so that a rollout may surge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTaken:
    """A model name of this deployment that an older one of the same router serves."""

    name: str
    owner: str


@dataclass(slots=True, kw_only=True)
class Observed:
    """One GemmaDeployment, what it should run and what runs."""

    obj: Object
    spec: GemmaDeploymentSpec | None
    deployment: Object | None = None
    kept: KeptPlan | None = None
    pods: list[Object] = field(default_factory=list)
    paused: bool = False
    decision: Decision | None = None
    problem: Terminal | None = None
    diagnosis: Diagnosis | None = None
    taken: NameTaken | None = None
    router: Object | None = None
    router_problem: Diagnosis | None = None
    external_url: str | None = None
    """Of its router, for clients outside of the cluster."""
    rolled_back: RolledBack | None = None
    """The change that did not become ready, while what ran before it runs on."""
    outdated: str = ""
    """In what its engine pods are not what this operator would render; empty: in nothing, or it was not looked at."""
    wanted: int = 0
    """Replicas that should run."""
    scaler: Scaler | None = None
    """What its scaler knows; `None` until it looked for the first time."""
