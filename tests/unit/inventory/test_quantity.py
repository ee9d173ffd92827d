import pytest
from gemma_operator.inventory.quantity import millis, whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("4", 4),
        ("16Gi", 16 * 2**30),
        ("128974848", 128974848),
        ("129e6", 129_000_000),
        ("1.5G", 1_500_000_000),
        ("123Mi", 123 * 2**20),
        ("100m", 1),
        ("7Ti", 7 * 2**40),
        (8, 8),
    ],
)
def test_whole_amounts(text, expected):
    assert whole(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("1", 1000), ("250m", 250), ("0.1", 100), ("3920m", 3920), ("1u", 1), (2, 2000)]
)
def test_cpu_in_thousandths(text, expected):
    assert millis(text) == expected


def test_nonsense_says_what_a_quantity_looks_like():
    with pytest.raises(ValueError, match="'lots' is no Kubernetes quantity: write one such as 500m"):
        whole("lots")
