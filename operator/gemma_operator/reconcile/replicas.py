"""How many replicas a GemmaDeployment wants, and what its scaler remembers."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.api.status import MAX_DECISIONS
from gemma_operator.cluster.resources import Object
from gemma_operator.reconcile.ages import Ages
from gemma_operator.reconcile.pods import loads_since
from gemma_operator.scaling.types import Decision, PodSample, State

_STARTS_KEPT = 32
_START_STEP = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Requests of a deployment, as engines and router last reported them."""

    running: int
    waiting: int
    held: int
    at: datetime


@dataclass(slots=True)
class Scaler:
    """What the scaler of one GemmaDeployment remembers. Lost with the process: nothing then shrinks for a while."""

    state: State = field(default_factory=State)
    target: int | None = None
    """Replicas decided; `None` before the first decision of this process."""
    decisions: deque[tuple[datetime, Decision]] = field(default_factory=lambda: deque(maxlen=MAX_DECISIONS))
    """Changes, newest first."""
    looked: bool = False
    """Whether it has decided in this process; until then what status says of it stands."""
    limit: str = ""
    """What keeps it from running as many as it wants, for people."""
    wished: int = 0
    """Replicas that it would run without that limit."""
    blind: str = ""
    """Why nothing fresh is known of the requests; empty while it is."""
    hung: tuple[str, ...] = ()
    """Pods that have work and do none."""
    queue: Queue | None = None
    """As it stands in status."""
    generation: int = 0
    """Generation of the Deployment that the last change of replicas made."""
    asleep_without_room: bool = False
    """It should wake and no GPU of its pool is free: another candidate may have some."""
    stranded: bool = False
    """None of its pods has a node, for longer than one takes to come: another candidate may have room."""
    shown_at: float = 0.0
    """When `queue` was last brought up to date, on the clock of `look`."""
    ages: Ages = field(default_factory=Ages)
    leaving_until: float | None = None
    """When a replica was last seen leaving, on the clock of `look`: until then it holds its GPUs."""
    refused: tuple[float, int] = (float("-inf"), 0)
    """Until when, on the clock of `look`, no more than so many replicas are asked for: the scheduler took no more."""
    starts: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """Pod uid → seconds from creation to Ready, of the pool that runs."""
    served: frozenset[str] | None = None
    """Uids of the pods that were seen serving, or may have served before the first look; `None` before that."""
    samples: dict[str, PodSample] = field(default_factory=dict)
    """The last sample of each pod."""
    news: bool = False
    """Whether a start was seen in this process; until then status knows of more."""
    pool: tuple[object, ...] = ()
    """What `starts` were measured with."""

    def loading(self, pod: Object) -> float:
        """Seconds for which a pod that is not Ready has been on its way; 0 while it has no node."""
        since = loads_since(pod)
        return 0.0 if since is None else self.ages.since(f"start of {pod['metadata']['uid']}", since)

    def started(self, uid: str, seconds: float) -> bool:
        """Remember a start; whether it is a new one."""
        if uid in self.starts:
            return False
        self.starts[uid] = seconds
        while len(self.starts) > _STARTS_KEPT:
            self.starts.popitem(last=False)
        return True


def decided_by_operator(spec: GemmaDeploymentSpec) -> bool:
    """Whether the number of replicas is the operator's to decide."""
    return spec.replicas is None and spec.scaling.mode == "operator"


def switched_off(spec: GemmaDeploymentSpec) -> bool:
    """Whether its own spec fixes it at 0: no request wakes it. Whoever decides in external mode may, so it is not."""
    return spec.replicas == 0 and spec.scaling.mode == "operator"


def wanted_replicas(spec: GemmaDeploymentSpec, *, scaler: Scaler | None, deployment: Object | None) -> int:
    """How many replicas should run: `replicas` where it is set, else what was decided, else what runs.

    A deployment starts with `min` and at least one replica, even where it may sleep later. What runs and what was
    decided may be below `min`, when there is no GPU for more: raising is the scaler's, who knows.
    """
    if spec.replicas is not None:
        return spec.replicas
    bounds = spec.scaling
    if scaler is not None and scaler.target is not None:
        return min(scaler.target, bounds.max)
    running = (deployment or {}).get("spec", {}).get("replicas")
    return min(max(bounds.min, 1) if running is None else running, bounds.max)


def needed_replicas(spec: GemmaDeploymentSpec, *, wanted: int) -> int:
    """How many must serve for the deployment to be Ready: what the scaler adds on top may still be loading."""
    return min(wanted, max(spec.scaling.min, 1)) if decided_by_operator(spec) else wanted


def measured_start(obj: Object) -> int | None:
    """Seconds that nine of ten starts took, from status, in steps of half a minute: less of a change is no news."""
    p90 = ((obj.get("status") or {}).get("startup") or {}).get("p90Seconds")
    return None if p90 is None else _START_STEP * max(1, -(-int(p90) // _START_STEP))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]
