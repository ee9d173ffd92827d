"""Why a candidate is not chosen, and how far it came."""

from enum import IntEnum
from typing import NamedTuple


class Stage(IntEnum):
    """The checks in their order. The stage that the best candidate reached says what blocks a deployment."""

    ENGINE = 0
    """The engine, its version or image cannot serve it."""
    HARDWARE = 1
    """The accelerator cannot run it."""
    MODEL = 2
    """The model cannot do what is asked."""
    ABSENT = 3
    """No such node."""
    MEMORY = 4
    """GPU memory."""
    NODES = 5
    """No usable node is large enough or lets it in."""
    COST = 6
    QUOTA = 7
    UNAVAILABLE = 8
    """The nodes are cordoned or down."""
    OCCUPIED = 9
    """Others have the GPUs."""
    OUTRANKED = 10
    """It fits, and another one is better."""


class Refusal(NamedTuple):
    """A true reason against a candidate."""

    stage: Stage
    code: str
    """Stable word for programs."""
    reason: str
    """One sentence, without the candidate's name in front."""
