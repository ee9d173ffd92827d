"""How many replicas a deployment should have: pure functions of what was observed and what is remembered."""

from gemma_operator.scaling.decide import decide
from gemma_operator.scaling.health import victim
from gemma_operator.scaling.types import (
    Bounds,
    Candidate,
    Decision,
    Kind,
    Observation,
    PendingPod,
    PodSample,
    Settings,
    State,
)

__all__ = [
    "Bounds",
    "Candidate",
    "Decision",
    "Kind",
    "Observation",
    "PendingPod",
    "PodSample",
    "Settings",
    "State",
    "decide",
    "victim",
]
