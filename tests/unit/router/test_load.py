"""What an engine's report means for the next request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gemma_router.load import Limits, Sample, allowance, has_room, load, parse
from hypothesis import given
from hypothesis import strategies as st

EIGHT = Limits(8)
RECORDED = Path(__file__).parents[2] / "standin/conformance/data/vllm-0.32.0-metrics.json"


def sample(running: int, waiting: int = 0, *, own: int = 0, kv: float = 0.1) -> Sample:
    return Sample(running=running, waiting=waiting, kv=kv, own=own, at=0.0)


@pytest.mark.parametrize(("slots", "extra"), [(1, 1), (8, 1), (16, 1), (17, 2), (128, 8), (256, 16)])
def test_a_sixteenth_may_wait_inside_an_engine(slots: int, extra: int) -> None:
    assert allowance(slots) == extra
    assert Limits(slots).slots == slots + extra


def test_alone_and_without_a_sample_the_own_count_decides() -> None:
    assert has_room(8, None, EIGHT)
    assert not has_room(9, None, EIGHT)
    assert has_room(10_000, None, Limits(None))


def test_what_other_router_pods_sent_counts() -> None:
    assert load(3, sample(7, own=3)) == 7
    assert load(5, sample(7, own=3)) == 9
    assert has_room(0, sample(8), EIGHT)
    assert not has_room(0, sample(8, 1), EIGHT)
    # Own requests that ended since then have left room.
    assert has_room(3, sample(8, 1, own=4), EIGHT)


def test_an_engine_that_reports_less_than_the_own_count_hides_nothing() -> None:
    assert load(4, sample(1, own=4)) == 4
    assert not has_room(9, sample(1, own=9), EIGHT)


def test_waiting_for_the_kv_cache_bounds_before_the_sequences_do() -> None:
    assert has_room(0, sample(4, kv=0.95), EIGHT)
    assert has_room(0, sample(4, 1, kv=0.5), EIGHT)
    assert not has_room(0, sample(4, 1, kv=0.95), EIGHT)
    # One of them ended: the next may come.
    assert has_room(4, sample(4, 1, own=5, kv=0.95), EIGHT)


def test_two_router_pods_take_half_of_what_is_free_each() -> None:
    two = Limits(8, peers=2)
    assert [own for own in range(9) if has_room(own, sample(0), two)] == [0, 1, 2, 3]
    assert [own for own in range(9) if has_room(own, None, two)] == [0, 1, 2, 3, 4]
    # At the limit the pod that ends one begins the next.
    assert not has_room(5, sample(9, own=5), two)
    assert has_room(4, sample(9, own=5), two)


def test_the_last_free_slot_is_not_lost_between_router_pods() -> None:
    assert has_room(2, sample(8, own=2), Limits(8, peers=4))


@given(st.integers(1, 64), st.integers(1, 4), st.integers(0, 80))
def test_router_pods_together_overfill_by_no_more_than_one_each(slots: int, peers: int, begun: int) -> None:
    limits, begun = Limits(slots, peers=peers), min(begun, slots)
    own = [0] * peers
    for index in range(peers):
        while has_room(own[index], sample(begun), limits):
            own[index] += 1
    assert sum(own) + begun < limits.slots + peers
    assert sum(own) > 0 or begun >= limits.slots


def test_vllms_exposition_is_read() -> None:
    text = (
        "# HELP vllm:num_requests_running Number of requests.\n"
        'vllm:num_requests_running{engine="0",model_name="a} b"} 3.0\n'
        'vllm:num_requests_waiting{engine="0",model_name="a} b"} 2.0\n'
        'vllm:num_requests_waiting_by_reason{engine="0",model_name="x",reason="capacity"} 9.0\n'
        'vllm:kv_cache_usage_perc{engine="0",model_name="a} b"} 0.25\n'
    )
    assert parse(text.encode()) == (3, 2, 0.25)


def test_ranks_of_one_engine_add_up() -> None:
    text = "".join(
        f'vllm:num_requests_running{{engine="{rank}"}} 2.0\nvllm:num_requests_waiting{{engine="{rank}"}} 1.0\n'
        f'vllm:kv_cache_usage_perc{{engine="{rank}"}} 0.{rank}\n'
        for rank in (3, 5)
    )
    assert parse(text.encode()) == (4, 2, 0.5)


def test_the_real_engines_exposition_is_read() -> None:
    families = json.loads(RECORDED.read_text())["families"]
    names = [name for name, family in families.items() if family["type"] == "gauge"]
    text = "".join(f'# TYPE {name} gauge\n{name}{{engine="0",model_name="m"}} 1.0\n' for name in names)
    assert parse(text.encode()) == (1, 1, 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vllm:num_requests_running 1.0\n",
        "vllm:num_requests_running NaN\nvllm:num_requests_waiting 1.0\n",
        "vllm:num_requests_running x\nvllm:num_requests_waiting 1.0\n",
        'vllm:num_requests_running{engine="0"} 1e308\nvllm:num_requests_running{engine="1"} 1e308\n'
        "vllm:num_requests_waiting 1.0\n",
    ],
)
def test_what_is_no_report_is_none(text: str) -> None:
    assert parse(text.encode()) is None
