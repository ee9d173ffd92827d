"""The choice of an endpoint, and the count it goes by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gemma_router.balance import InFlight, choose
from hypothesis import given
from hypothesis import strategies as st


def test_the_least_load_gets_it() -> None:
    counts = {"a": 2, "b": 1, "c": 3}
    assert choose(["a", "b", "c"], load=counts.__getitem__) == "b"


def test_ties_go_to_any_of_them() -> None:
    counts = {"a": 1, "b": 0, "c": 0}
    seen: list[list[str]] = []

    def pick(names: Sequence[str]) -> str:
        seen.append(list(names))
        return names[-1]

    assert choose(["a", "b", "c"], load=counts.__getitem__, pick=pick) == "c"
    assert seen == [["b", "c"]]
    chosen = Counter(choose(["a", "b", "c"], load=counts.__getitem__) for _ in range(200))
    assert chosen["a"] == 0
    assert chosen["b"] > 0
    assert chosen["c"] > 0


def test_opening_again_moves_and_closing_twice_is_harmless() -> None:
    count, request = InFlight(), object()
    count.open(request, "a")
    count.open(request, "b")
    assert (count.at("a"), count.at("b")) == (0, 1)
    assert count.close(request) == "b"
    assert count.close(request) is None
    assert count.close(object()) is None
    assert count.by_member() == {}


@given(st.lists(st.tuples(st.sampled_from("oc"), st.integers(0, 5), st.sampled_from("abc")), max_size=60))
def test_the_count_equals_the_open_requests(steps: list[tuple[str, int, str]]) -> None:
    count, open_at = InFlight(), {}
    for kind, request, member in steps:
        if kind == "o":
            count.open(request, member)
            open_at[request] = member
        else:
            count.close(request)
            open_at.pop(request, None)
    assert count.by_member() == dict(Counter(open_at.values()))
