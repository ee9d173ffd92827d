"""Policies by name."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gemma_operator.scaling import Settings
from gemma_operator.simulator.gemma import gemma_of
from gemma_operator.simulator.peers.hpa import Hpa, running_and_waiting, waiting
from gemma_operator.simulator.peers.kpa import Kpa
from gemma_operator.simulator.peers.static import Static
from gemma_operator.simulator.peers.wva import Wva
from gemma_operator.simulator.scaler import Scaler
from gemma_operator.simulator.types import Setup

Make = Callable[[Setup, Settings], Scaler]

POLICIES: Final[dict[str, tuple[str, Make]]] = {
    "gemma": ("this operator", gemma_of),
    "hpa-waiting": (
        "HPA or KEDA on waiting requests, 5 per replica",
        lambda setup, settings: Hpa(
            name="hpa-waiting", signal=waiting, target=5, minimum=setup.minimum, maximum=setup.maximum
        ),
    ),
    "hpa-running-waiting": (
        "HPA or KEDA on running + waiting, 45 per replica, default behaviour",
        lambda setup, settings: Hpa(
            name="hpa-running-waiting",
            signal=running_and_waiting,
            target=45,
            minimum=setup.minimum,
            maximum=setup.maximum,
        ),
    ),
    "hpa-tuned": (
        "HPA on running + waiting, 32 per replica, windows 60 s up and 1200 s down",
        lambda setup, settings: Hpa(
            name="hpa-tuned",
            signal=running_and_waiting,
            target=32,
            up_window=60,
            down_window=1200,
            minimum=setup.minimum,
            maximum=setup.maximum,
        ),
    ),
    "kpa": ("Knative's autoscaler, defaults: 70 per replica", lambda setup, settings: Kpa()),
    "kpa-tuned": (
        "Knative's autoscaler, 45 per replica, scale-down delay 900 s",
        lambda setup, settings: Kpa(name="kpa-tuned", target=45, scale_down_delay=900),
    ),
    "wva": ("llm-d's saturation analyzer, defaults", lambda setup, settings: Wva()),
}
"""Name → what it is, and how to make it."""


class UnknownPolicyError(ValueError):
    """A name that is no policy."""


def make_policy(name: str, setup: Setup, settings: Settings, *, interval: float | None = None) -> Scaler:
    """The policy of a name; `static-N` is N replicas for ever. `interval`: seconds between two scrapes of ours."""
    if name == "gemma" and interval is not None:
        return replace(gemma_of(setup, settings), every=interval)
    if name in POLICIES:
        return POLICIES[name][1](setup, settings)
    kind, _, number = name.rpartition("-")
    if kind == "static" and number.isdecimal() and int(number) > 0:
        return Static(replicas=int(number))
    raise UnknownPolicyError(f"policy {name!r} is not known; there are {', '.join(POLICIES)} and static-N")
