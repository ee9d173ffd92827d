"""Changing the rate of a trace: overlaying shifted copies, thinning, cutting a window."""

import math
import random
from array import array
from dataclasses import replace

from gemma_operator.simulator.types import Trace

_SHIFT = 2.0
"""Copies of a request arrive within so many seconds: a burst stays a burst."""
_MOST = 10_000_000
"""Requests, which take more than a gigabyte."""


def faster(trace: Trace, speed: float, *, seed: int) -> Trace:
    """Every request `speed` times, each copy shifted a little; a fraction is thinned out."""
    if not 0 < speed < math.inf:
        raise ValueError(f"--speed {speed:g}: give a number above 0")
    if speed * len(trace) > _MOST:
        raise ValueError(f"--speed {speed:g}: at most {_MOST:,} requests are replayed, the trace has {len(trace):,}")
    if speed == 1:
        return trace
    chance = random.Random(f"speed {seed}")
    whole, part = int(speed), speed - int(speed)
    rows = []
    for at, prompt, output in zip(trace.arrivals, trace.inputs, trace.outputs, strict=True):
        for _ in range(whole + (chance.random() < part)):
            rows.append((at + chance.uniform(0, _SHIFT), prompt, output))
    return _trace(trace.name, rows)


def thinner(trace: Trace, rate: float, *, seed: int) -> Trace:
    """Each request kept with this probability."""
    if not 0 < rate <= 1:
        raise ValueError(f"--rate {rate:g}: give a share above 0 and at most 1; --speed makes a trace denser")
    if rate == 1:
        return trace
    chance = random.Random(f"rate {seed}")
    rows = [row for row in zip(trace.arrivals, trace.inputs, trace.outputs, strict=True) if chance.random() < rate]
    return _trace(trace.name, rows)


def window(trace: Trace, start: float, end: float) -> Trace:
    """The requests between two moments, starting at 0."""
    rows = [
        (at - start, prompt, output)
        for at, prompt, output in zip(trace.arrivals, trace.inputs, trace.outputs, strict=True)
        if start <= at < end
    ]
    return _trace(trace.name, rows)


def _trace(name: str, rows: list[tuple[float, int, int]]) -> Trace:
    rows.sort()
    return Trace(
        name=name,
        arrivals=array("d", [row[0] for row in rows]),
        inputs=array("l", [row[1] for row in rows]),
        outputs=array("l", [row[2] for row in rows]),
    )


def renamed(trace: Trace, name: str) -> Trace:
    """The same requests under another name."""
    return replace(trace, name=name)
