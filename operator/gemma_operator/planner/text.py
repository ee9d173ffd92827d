"""How numbers read in sentences."""

from typing import Final

GIB: Final = 1 << 30


def size(amount: int) -> str:
    """Bytes in GiB with one digit, such as `58.3 GiB`."""
    return f"{amount / GIB:.1f} GiB"


def count(number: int, noun: str) -> str:
    """A number with its noun, such as `1 replica` or `2 replicas`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def money(amount: float) -> str:
    """US dollars, such as `0.71 USD`."""
    return f"{amount:.2f} USD"


def shape(gpus: int, row: str) -> str:
    """GPUs of one replica, such as `4×l4`; a CPU is named alone."""
    return row if row == "cpu" else f"{gpus}×{row}"
