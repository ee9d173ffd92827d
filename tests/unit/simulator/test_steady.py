"""At constant load the number settles, and more load never means fewer replicas."""

import random
from array import array
from itertools import pairwise

import pytest
from gemma_operator.scaling import Settings
from gemma_operator.simulator.policies import make_policy
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.types import Profile, Result, Setup, Trace

SETUP = Setup(profile=Profile(max_num_seqs=32, kv_tokens=100_000), startup=60, initial=1)


def constant(rate: float, *, prompt: int, output: int, seconds: float = 5400) -> Result:
    """Poisson arrivals of requests around one length."""
    chance = random.Random(f"{rate} {prompt} {output}")
    rows = []
    at = 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        rows.append((at, int(prompt * chance.uniform(0.5, 1.5)), max(int(output * chance.uniform(0.5, 1.5)), 1)))
    trace = Trace(
        name="constant",
        arrivals=array("d", [row[0] for row in rows]),
        inputs=array("l", [row[1] for row in rows]),
        outputs=array("l", [row[2] for row in rows]),
    )
    return simulate(trace, SETUP, make_policy("gemma", SETUP, Settings()))


@pytest.mark.parametrize(
    ("rate", "prompt", "output"), [(0.4, 4000, 300), (3, 400, 60), (4, 1500, 150), (6, 60, 20), (6, 2000, 60)]
)
def test_constant_load_settles(rate: float, prompt: int, output: int) -> None:
    result = constant(rate, prompt=prompt, output=output)
    later = [point.replicas for point in result.timeline if point.at > 2700]
    assert max(later) - min(later) <= 1, result.reasons
    assert sum(one != two for one, two in pairwise(later)) <= 2, result.reasons
    assert result.slo_attainment > 0.9


def test_more_load_means_no_fewer_replicas() -> None:
    settled = [constant(rate, prompt=1200, output=120, seconds=2700).timeline[-1].replicas for rate in (1, 2, 4, 8)]
    assert settled == sorted(settled)
    assert settled[0] < settled[-1]
