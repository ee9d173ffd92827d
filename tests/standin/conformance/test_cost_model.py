"""The policy learns what a step costs from the engine's counters: does the line fit?"""

import threading
import time
from functools import partial

from conformance.engines import Engine, Kind, running, wait_for
from gemma_operator.cluster.scrape import engine_report
from gemma_operator.reconcile.signals import sample
from gemma_operator.scaling import PodSample, cost
from gemma_operator.scaling import constants as k
from gemma_operator.scaling.types import CostModel, Counters

FLAGS = (
    "--served-model-name=chat",
    "--max-model-len=8192",
    "--max-num-batched-tokens=4096",
    "--max-num-seqs=8",
    "--kv-cache-memory-bytes=536870912",
)
CLIENTS, INTERVALS, EACH = 7, 12, 1.0


def next_sample(engine: Engine, *, after: float) -> PodSample | None:
    """A sample that is later than that."""
    seen = read(engine)
    return seen if seen.at >= after else None


def counters(seen: PodSample) -> Counters:
    return Counters(
        at=seen.at,
        running=seen.running,
        waiting=seen.waiting,
        completions=seen.completions,
        generation_tokens=seen.generation_tokens,
        prompt_tokens=seen.prompt_tokens,
        steps=seen.steps,
        moved=0,
        seen=0,
    )


def read(engine: Engine) -> PodSample:
    report = engine_report(engine.metrics())
    assert report is not None
    return sample("engine", report, at=time.time(), ready_at=None)


def test_busy_time_follows_steps_and_tokens(kind: Kind) -> None:
    """Prediction before each interval is learnt from, over the second half: what `misfit` in a decision says."""
    stop = threading.Event()
    with running(kind, FLAGS) as engine:

        def ask(number: int) -> None:
            turn = 0
            while not stop.is_set():
                turn += 1
                engine.chat(
                    prompt=f"client {number} turn {turn} " + "word " * (5 + 9 * ((number + turn) % 9)),
                    max_tokens=20 + 13 * ((number * 3 + turn) % 7),
                )

        clients = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            wait_for("the engine to be busy", lambda: read(engine).running >= k.BUSY_RUNNING, seconds=60)
            model, busy = CostModel(), 0
            before = read(engine)
            for _ in range(40 * INTERVALS):
                due = partial(next_sample, engine, after=before.at + EACH)
                now = wait_for("the next sample", due, seconds=60)
                if cost.is_busy(counters(before), now):
                    busy += 1
                    model = cost.solve(
                        cost.learn(
                            CostModel(model.sums, model.base, model.per_sequence, model.per_prompt_token)
                            if busy == INTERVALS // 2
                            else model,
                            now.at - before.at,
                            steps=now.steps - before.steps,
                            generated=now.generation_tokens - before.generation_tokens,
                            prompt=now.prompt_tokens - before.prompt_tokens,
                        )
                    )
                before = now
                if busy >= INTERVALS:
                    break
        finally:
            stop.set()
            for client in clients:
                client.join(timeout=60)
    assert busy >= INTERVALS, "the engine was hardly busy"
    found = f"{cost.misfit(model):.2f}: {model.base:.4f} s + {model.per_sequence:.5f} per sequence"
    assert cost.misfit(model) < k.FIT_POOR, found
