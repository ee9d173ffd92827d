"""Amounts as Kubernetes quantities; `inventory.quantity` reads them."""

from typing import Final

MIB: Final = 2**20
GIB: Final = 2**30


def of_bytes(count: int) -> str:
    """A number of bytes, rounded up to whole MiB, as `24Gi` or `1536Mi`."""
    mebibytes = -(-count // MIB)
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 and mebibytes else f"{mebibytes}Mi"


def of_millis(count: int) -> str:
    """Thousandths of a CPU, as `4` or `2500m`."""
    return str(count // 1000) if count % 1000 == 0 else f"{count}m"
