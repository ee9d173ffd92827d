"""A fleet of two meets the load of twelve: what the policy asks for is what load and backlog are worth."""

import math
from array import array
from typing import Any

import pytest
from gemma_operator.scaling import Settings
from gemma_operator.simulator.policies import make_policy
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.scaler import Scaler, View
from gemma_operator.simulator.types import Result, Setup, Trace

PROMPT, OUTPUT, AFTER = 2000, 400, 900
BEFORE_STEP, STEP = 1.0, 12.0
"""Replicas that the load keeps busy."""
DRAIN, FULL = 120.0, 0.9
"""The policy works a backlog off in so many seconds, with engines in use for so much of their time."""


def step_trace(work: float, *, history: int) -> Trace:
    """Evenly spaced requests, each worth so many seconds of one replica."""
    arrivals, at = array("d"), 0.0
    while at < history + AFTER:
        arrivals.append(at)
        at += work / (BEFORE_STEP if at < history else STEP)
    count = len(arrivals)
    return Trace(
        name="step", arrivals=arrivals, inputs=array("l", [PROMPT] * count), outputs=array("l", [OUTPUT] * count)
    )


class Watched:
    """A policy, and the most requests that ever queued when it was asked."""

    def __init__(self, scaler: Scaler) -> None:
        self.scaler, self.most_queued = scaler, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scaler, name)

    def decide(self, view: View) -> int:
        queued = view.held + sum(pod.waiting for pod in view.pods)
        self.most_queued = max(self.most_queued, queued)
        return self.scaler.decide(view)


def follow_step(*, startup: int, history: int) -> tuple[Result, int]:
    """What our policy makes of a step, and the replicas that load and backlog were worth at most."""
    setup = Setup(startup=startup, jitter=0, initial=2, late_binding=True)
    profile = setup.profile
    batch = profile.batch(tokens=PROMPT + OUTPUT)
    step = profile.step_base + profile.step_per_sequence * batch
    work = profile.own_prefill(PROMPT) + OUTPUT * step / batch
    policy = Watched(make_policy("gemma", setup, Settings()))
    result = simulate(step_trace(work, history=history), setup, policy)
    return result, math.ceil((STEP + policy.most_queued * work / DRAIN) / FULL)


@pytest.mark.parametrize("startup", [20, 60, 180])
@pytest.mark.parametrize("history", [60, 300, 1200])
def test_a_step_is_overshot_by_one_at_most(history: int, startup: int) -> None:
    result, needed = follow_step(startup=startup, history=history)
    assert STEP < result.max_replicas <= needed + 1


def test_replicas_for_a_backlog_go_when_it_is_worked_off() -> None:
    """Long before peaks are forgotten; what arrives keeps its own, and what a young policy adds for larger steps."""
    result, _ = follow_step(startup=180, history=300)
    last = result.timeline[-1]
    assert last.queued < last.ready
    assert STEP < last.replicas <= result.max_replicas * 0.8
