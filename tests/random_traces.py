"""Traces nobody has tuned for: a seed gives a shape, a rate and a mix of requests."""

import math
import random
from array import array
from collections.abc import Callable

from gemma_operator.simulator.types import Trace

SHAPES = ("steady", "ramp", "spike", "daily", "bursty")


def random_trace(seed: int, shape: str, *, seconds: float = 3600.0) -> Trace:
    """Poisson arrivals at a rate of the shape; lognormal lengths of prompts and answers."""
    chance = random.Random(f"{shape} {seed}")
    rate, peak = _rate(chance, shape, seconds)
    prompt, output = math.exp(chance.uniform(5, 7.8)), math.exp(chance.uniform(3.5, 6.5))
    rows: list[tuple[float, int, int]] = []
    at = 0.0
    while True:
        at += chance.expovariate(peak)
        if at >= seconds:
            break
        if chance.random() * peak < rate(at):
            rows.append((at, _length(chance, prompt, 16_000), _length(chance, output, 4_000)))
    return Trace(
        name=f"{shape}-{seed}",
        arrivals=array("d", [row[0] for row in rows]),
        inputs=array("l", [row[1] for row in rows]),
        outputs=array("l", [row[2] for row in rows]),
    )


def _length(chance: random.Random, median: float, most: int) -> int:
    return min(max(int(median * math.exp(chance.gauss(0, 0.9))), 1), most)


def _rate(chance: random.Random, shape: str, seconds: float) -> tuple[Callable[[float], float], float]:
    """Requests per second over time, and an upper bound of it."""
    base = math.exp(chance.uniform(0.5, 2.5))
    factor = chance.uniform(2, 5)
    if shape == "steady":
        return lambda at: base, base
    if shape == "ramp":
        return lambda at: base * (1 + (factor - 1) * at / seconds), base * factor
    if shape == "spike":
        start, length = chance.uniform(0.2, 0.7) * seconds, chance.uniform(120, 900)
        return lambda at: base * (factor if start <= at < start + length else 1), base * factor
    if shape == "daily":
        phase = chance.uniform(0, 2 * math.pi)
        middle, swing = base * (1 + factor) / 2, base * (factor - 1) / 2
        return lambda at: middle + swing * math.sin(2 * math.pi * at / seconds + phase), base * factor
    starts = [chance.uniform(0, seconds) for _ in range(chance.randint(3, 10))]
    length = chance.uniform(20, 120)
    return lambda at: base * (factor if any(s <= at < s + length for s in starts) else 1), base * factor
