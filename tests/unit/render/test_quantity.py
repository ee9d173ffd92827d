"""Amounts as Kubernetes writes them, read back by the inventory's own reader."""

import pytest
from gemma_operator.inventory.quantity import millis, whole
from gemma_operator.render import quantity
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(min_value=0, max_value=2**50))
def test_bytes_are_never_rounded_down(count: int) -> None:
    assert count <= whole(quantity.of_bytes(count)) < count + 2**20


@given(st.integers(min_value=0, max_value=10**7))
def test_millis_are_exact(count: int) -> None:
    assert millis(quantity.of_millis(count)) == count


@pytest.mark.parametrize(("count", "text"), [(24 * 2**30, "24Gi"), (1536 * 2**20, "1536Mi"), (1, "1Mi"), (0, "0Mi")])
def test_bytes_are_readable(count: int, text: str) -> None:
    assert quantity.of_bytes(count) == text
