"""An engine that runs fewer requests than it was said to: what it is seen to run counts."""

from gemma_operator.scaling import Bounds

from tests.unit.scaling.engines import World


def full(world: World, *, seconds: int, running: int, waiting: int, prompt: int = 20) -> None:
    """Engines at their limit: twelve steps per second, each with one token for each request; the rest waits."""
    for _ in range(seconds // 5):
        world.now += 5
        for engine in world.engines:
            engine.running, engine.waiting = running, waiting
            engine.steps += 60
            engine.generated += 60 * running
            engine.completions += running // 2
            engine.prompt += prompt * max(running // 2, 1)
        world.step()


def test_requests_that_wait_for_good_bring_replicas_whatever_the_plan_promised() -> None:
    world = World(bounds=Bounds(minimum=1, maximum=4, max_num_seqs=238))
    world.run(60, rate=0.01)
    assert world.state.batch == 238
    full(world, seconds=180, running=2, waiting=8)
    assert world.state.batch == 2
    assert world.replicas > 1, [decision.reason for decision in world.decisions if decision.reason]


def test_waiting_for_the_prompts_of_others_is_no_limit_of_sequences() -> None:
    world = World(bounds=Bounds(minimum=1, maximum=4, max_num_seqs=238, chunk=2048))
    world.run(60, rate=0.01)
    full(world, seconds=60, running=2, waiting=8, prompt=100_000)
    assert world.state.batch == 238


def test_the_estimate_follows_what_runs() -> None:
    world = World(bounds=Bounds(minimum=1, maximum=1, max_num_seqs=238))
    full(world, seconds=60, running=2, waiting=8)
    assert world.state.batch == 2
    full(world, seconds=60, running=30, waiting=0)
    assert world.state.batch == 30
