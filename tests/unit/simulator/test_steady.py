"""At constant load the number settles, and more load never means fewer replicas."""

import random
from array import array
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import pytest
from gemma_operator.scaling import Settings
from gemma_operator.simulator.policies import make_policy
from gemma_operator.simulator.run import simulate
from gemma_operator.simulator.types import Profile, Result, Setup, Trace
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.timeout(600)
"""Hours of a fleet in each example: a busy machine takes its time, and smaller examples are not looked for."""
PROFILE = Profile(
    step_base=0.1, step_per_sequence=0.001, step_per_prefill_token=0.0006, max_num_seqs=16, kv_tokens=60_000
)
"""A slow replica: few requests keep it busy, so that an hour is simulated in a moment."""
SECONDS = 5400.0
SETTLED = 2700.0
"""A policy that knows nothing gives nothing back for 15 minutes, and what it saw while it caught up goes in 30 more."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """Poisson arrivals of requests around one length, for ever at the same rate."""

    busy: float
    """Replicas that it keeps busy."""
    prompt: int
    output: int
    seed: int = 1

    def trace(self, seconds: float) -> Trace:
        """So many seconds of it."""
        batch = PROFILE.batch(tokens=self.prompt + self.output)
        step = PROFILE.step_base + PROFILE.step_per_sequence * batch
        rate = self.busy / (PROFILE.own_prefill(self.prompt) + self.output * step / batch)
        chance = random.Random(self.seed)
        arrivals, inputs, outputs = array("d"), array("l"), array("l")
        at = 0.0
        while (at := at + chance.expovariate(rate)) < seconds:
            arrivals.append(at)
            inputs.append(max(int(self.prompt * chance.uniform(0.5, 1.5)), 1))
            outputs.append(max(int(self.output * chance.uniform(0.5, 1.5)), 1))
        return Trace(name="constant", arrivals=arrivals, inputs=inputs, outputs=outputs)


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    """Bounds that may hold the load or not, and a start that is far too small or far too large."""
    minimum = draw(st.integers(1, 3))
    maximum = draw(st.integers(minimum, 15))
    return Setup(
        profile=PROFILE,
        startup=draw(st.floats(20, 420)),
        minimum=minimum,
        maximum=maximum,
        initial=draw(st.integers(minimum, maximum)),
        seed=draw(st.integers(0, 2**32)),
    )


LOADS = st.builds(
    Load,
    busy=st.floats(0.2, 4),
    prompt=st.integers(100, 4000),
    output=st.integers(50, 600),
    seed=st.integers(0, 2**32),
)


def replay(load: Load, setup: Setup, *, seconds: float = SECONDS) -> Result:
    """Our policy under this load."""
    return simulate(load.trace(seconds), setup, make_policy("gemma", setup, Settings()))


def turns(sizes: list[int]) -> int:
    """How often the number went the other way."""
    ups = [after > before for before, after in pairwise(sizes) if after != before]
    return sum(one != two for one, two in pairwise(ups))


@settings(max_examples=20, phases=(Phase.reuse, Phase.generate))
@given(LOADS, setups())
def test_constant_load_settles(load: Load, setup: Setup) -> None:
    """Arrivals are random: a few may look like more load, once. Up and down and up again is the policy's own doing."""
    result = replay(load, setup)
    note("\n".join(result.reasons))
    later = [point.replicas for point in result.timeline if point.at > SETTLED]
    assert turns(later) <= 1
    in_time = setup.first_token_wait + 3 * PROFILE.own_prefill(load.prompt)
    assert max(later) == setup.maximum or median(late for at, late in result.late if at > SETTLED) < in_time


def test_more_load_means_no_fewer_replicas() -> None:
    setup = Setup(profile=PROFILE, startup=60, initial=1)
    settled = [
        replay(Load(busy=busy, prompt=1200, output=120), setup, seconds=SETTLED).timeline[-1].replicas
        for busy in (0.3, 0.6, 1.2, 2.4, 4.8)
    ]
    assert settled == sorted(settled)
    assert settled[0] < settled[-1]
