"""The page says what the catalog says, marks included."""

from gemma_operator.catalog.hardware_table import hardware_table
from gemma_operator.catalog.load import load_catalog

CATALOG = load_catalog()
TEXT = hardware_table(CATALOG)


def line(start: str) -> str:
    return next(line for line in TEXT.splitlines() if line.startswith(start))


def test_every_row_is_on_the_page() -> None:
    for name in CATALOG.accelerators:
        assert f"| {name} |" in TEXT


def test_inferred_values_carry_the_mark() -> None:
    assert "| 22.5 | 300 |" in line("| l4 | 2")
    assert "| 900* |" in line("| v100-16 | 1")
    assert "`nvidia-gb200`\\*" in TEXT
    assert "`nvidia-l4`," not in TEXT


def test_what_vllm_refuses_is_said() -> None:
    assert "vLLM refuses" in line("| t4 | 1")
    assert "bf16 fp8 nvfp4" in line("| b200 | 1")


def test_memory_ranges_tell_rows_apart() -> None:
    assert "`a100` with 39000 to 42000 MiB" in TEXT
