"""Peers' policies against their published formulas and defaults."""

import math
from dataclasses import replace

import pytest
from gemma_operator.scaling import Settings
from gemma_operator.simulator.peers.hpa import Hpa, recommend, running_and_waiting, waiting
from gemma_operator.simulator.peers.kpa import Kpa
from gemma_operator.simulator.peers.wva import Wva
from gemma_operator.simulator.policies import POLICIES, UnknownPolicyError, make_policy
from gemma_operator.simulator.scaler import PodView, View
from gemma_operator.simulator.types import Setup


def pod(name: str = "a", **values: object) -> PodView:
    made = PodView(
        name=name,
        running=0,
        waiting=0,
        kv_usage=0.0,
        completions=0,
        generated=0,
        prompt=0,
        steps=0,
        draining=False,
        ready_at=0.0,
    )
    return replace(made, **values)  # type: ignore[arg-type]  # fields by name, in tests


def view(now: float, *pods: PodView, pending: int = 0, held: int = 0) -> View:
    ready = sum(1 for each in pods if not each.draining)
    return View(
        now=now,
        pods=pods,
        ready=ready,
        pending=tuple((f"p{index}", 1.0) for index in range(pending)),
        current=ready + pending,
        held=held,
        in_flight=sum(each.running + each.waiting for each in pods),
    )


@pytest.mark.parametrize(
    ("total", "target", "replicas", "wanted"),
    [
        (100, 10, 5, 10),
        (54, 10, 5, 5),
        (55.1, 10, 5, 6),
        (45.1, 10, 5, 5),
        (44, 10, 5, 5),
        (39, 10, 5, 4),
        (0, 10, 5, 0),
        (30, 10, 0, 3),
        (150, 3, 1, 50),
    ],
)
def test_hpa_desired(total: float, target: float, replicas: int, wanted: int) -> None:
    """ceil(total / target), independent of replicas, within a tolerance of 10 %; 150 waiting at 3 make 50."""
    assert recommend(total, target=target, replicas=replicas, tolerance=0.1) == wanted


def test_hpa_signals() -> None:
    seen = view(0, pod(running=7, waiting=2), pod("b", running=9, draining=True), held=4)
    assert waiting(seen) == 6
    assert running_and_waiting(seen) == 13


def test_hpa_grows_by_four_or_doubles() -> None:
    hpa = Hpa(name="x", signal=waiting, target=1)
    assert hpa.decide(view(0, pod(waiting=100))) == 5
    many = [pod(str(index), waiting=100) for index in range(10)]
    assert hpa.decide(view(15, *many)) == 20


def test_hpa_shrinks_to_the_highest_of_five_minutes() -> None:
    hpa = Hpa(name="x", signal=running_and_waiting, target=10)
    ten = [pod(str(index), running=10) for index in range(10)]
    idle = [pod(str(index)) for index in range(10)]
    half = [pod(str(index), running=5) for index in range(10)]
    assert hpa.decide(view(0, *ten)) == 10
    assert hpa.decide(view(150, *half)) == 10
    assert [hpa.decide(view(now, *idle)) for now in (285, 301, 449, 466)] == [10, 5, 5, 1]


def test_hpa_up_window_takes_the_lowest() -> None:
    hpa = Hpa(name="x", signal=running_and_waiting, target=10, up_window=60)
    assert hpa.decide(view(0, pod(running=10))) == 1
    assert [hpa.decide(view(now, pod(running=50))) for now in (15, 30, 45, 59, 75)] == [1, 1, 1, 1, 5]


def test_kpa_takes_the_mean_of_a_minute() -> None:
    kpa = Kpa(target=10)
    decided = [kpa.decide(view(now, pod(running=15))) for now in range(2, 62, 2)]
    assert set(decided) == {2}


def test_kpa_panics_and_does_not_shrink_for_a_minute() -> None:
    kpa = Kpa(target=10)
    for now in range(2, 60, 2):
        kpa.decide(view(now, pod(running=5)))
    assert kpa.decide(view(60, pod(running=5))) == 1
    panicked = [kpa.decide(view(now, pod(running=100))) for now in (62, 64, 66)]
    assert panicked[-1] == 10
    later = [kpa.decide(view(now, pod(running=1))) for now in range(68, 128, 2)]
    assert max(later[:28]) == min(later[:28]) == 10
    assert kpa.decide(view(140, pod(running=1))) < 10


def test_kpa_halves_at_most() -> None:
    kpa = Kpa(target=10)
    eight = [pod(str(index)) for index in range(8)]
    kpa.started = True
    assert kpa.decide(view(2, *eight)) == math.floor(8 / 2)


def test_kpa_delay_keeps_the_largest() -> None:
    kpa = Kpa(target=10, scale_down_delay=900)
    assert kpa.decide(view(2, pod(running=40))) == 4
    assert kpa.decide(view(900, pod())) == 4
    assert kpa.decide(view(1000, pod())) < 4


@pytest.mark.parametrize(
    ("pods", "pending", "step"),
    [
        ([pod(kv_usage=0.69)], 0, 0),
        ([pod(kv_usage=0.71)], 0, 1),
        ([pod(waiting=3)], 0, 1),
        ([pod(waiting=2)], 0, 0),
        ([pod(kv_usage=0.9)], 0, 1),
        ([pod(kv_usage=0.9)], 1, 0),
        ([pod(kv_usage=0.3), pod("b", kv_usage=0.3)], 0, -1),
        ([pod(kv_usage=0.4), pod("b", kv_usage=0.4)], 0, 0),
        ([pod(kv_usage=0.1), pod("b", kv_usage=0.95)], 0, 0),
    ],
)
def test_wva_steps_by_one(pods: list[PodView], pending: int, step: int) -> None:
    """Spare KV below 10 % or spare queue below 3 of the unsaturated: one more; room on one fewer: one fewer."""
    seen = view(60, *pods, pending=pending)
    assert Wva(down_window=0).decide(seen) == seen.current + step


def test_wva_shrinks_through_the_window_of_its_hpa() -> None:
    """The number goes out as a metric; the HPA that carries it out takes the highest of five minutes."""
    wva = Wva()
    busy, calm = [pod(kv_usage=0.4), pod("b", kv_usage=0.4)], [pod(kv_usage=0.1), pod("b", kv_usage=0.1)]
    assert wva.decide(view(60, *busy)) == 2
    assert [wva.decide(view(now, *calm)) for now in (120, 180, 240, 300)] == [2, 2, 2, 2]
    assert wva.decide(view(360, *calm)) == 1


def test_wva_looks_at_the_peak_of_a_minute() -> None:
    wva = Wva()
    wva.decide(view(15, pod(waiting=4)))
    assert wva.decide(view(60, pod())) == 2


def test_every_policy_is_made_and_named() -> None:
    for name in POLICIES:
        assert make_policy(name, Setup(), Settings()).name == name
    assert make_policy("static-7", Setup(), Settings()).decide(view(0)) == 7
    with pytest.raises(UnknownPolicyError, match="'hpa' is not known; there are gemma, "):
        make_policy("hpa", Setup(), Settings())
