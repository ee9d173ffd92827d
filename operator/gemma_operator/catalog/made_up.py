"""Rows that no file holds: a GPU known only by its GFD labels, and a time-sliced share of a GPU."""

import re
from collections.abc import Mapping
from dataclasses import replace

from gemma_operator.catalog.convert import GFD_MEMORY, GFD_PRODUCT
from gemma_operator.catalog.types import Accelerator, Catalog, Identification

_MIG_RESOURCE = re.compile(r"nvidia\.com/(mig-[0-9]+g\.[0-9]+gb(?:\.me)?)")
_MIG_PRODUCT = re.compile(r"(.+)-MIG-([0-9]+g\.[0-9]+gb.*)", re.IGNORECASE)
_SLOWEST = 300e9
"""Bytes per second of the slowest data centre GPU that vLLM can use (L4)."""
_STEP = 256
"""MiB: nodes whose drivers report slightly different memory still make the same row."""


def from_gfd(*, labels: Mapping[str, str], resource: str, catalog: Catalog) -> Accelerator | None:
    """A row made from GFD's labels, `None` where they do not say product, memory and compute capability.

    Bandwidth is unknown: a partition of a known GPU gets its share by memory, anything else the slowest of the rows
    of its compute capability. Everything concluded is marked inferred.
    """
    mig = _MIG_RESOURCE.fullmatch(resource)
    if mig is None and resource != "nvidia.com/gpu":
        return None
    product_label, memory_label = (
        (f"nvidia.com/{mig[1]}.product", f"nvidia.com/{mig[1]}.memory") if mig else (GFD_PRODUCT, GFD_MEMORY)
    )
    product, memory = labels.get(product_label, ""), labels.get(memory_label, "")
    major, minor = labels.get("nvidia.com/gpu.compute.major", ""), labels.get("nvidia.com/gpu.compute.minor", "")
    if not (product and memory.isdigit() and major.isdigit() and minor.isdigit()) or "MIG-INVALID" in product.upper():
        return None
    capability = (int(major), int(minor))
    floor = int(memory) // _STEP * _STEP
    memory_bytes = floor * 2**20
    bandwidth, parent = _bandwidth(product, memory_bytes, capability, catalog)
    return Accelerator(
        name=_name(product, gib=floor // 1024, single=mig is None),
        vendor="nvidia",
        resource=resource,
        memory_bytes=memory_bytes,
        compute_capability=capability,
        bandwidth=bandwidth,
        architecture=labels.get("nvidia.com/gpu.family", "unknown"),
        bf16=capability >= (8, 0),
        fp8=capability >= (8, 9),
        nvfp4=capability >= (10, 0),
        interconnect="none" if _MIG_PRODUCT.fullmatch(product) else "PCIe",
        host_architecture=labels.get("kubernetes.io/arch", "amd64"),
        price_per_hour=None,
        price_date="",
        price_kind="unknown",
        identifications=(
            Identification(
                source="mig" if mig else "gfd",
                labels={product_label: (product,)},
                memory_label=memory_label,
                memory_mib=(floor, floor + _STEP - 1),
                resource=resource,
            ),
        ),
        shared=False,
        source=f"labels of the node; bandwidth by share of {parent}" if parent else "labels of the node",
        inferred=("bandwidth", "interconnect"),
        made_up=True,
    )


def share_of(row: Accelerator, *, count: int, resource: str) -> Accelerator:
    """One of `count` time-sliced shares of a GPU; only a spec that lists it gets it."""
    return replace(
        row,
        name=f"{row.name}-shared-{count}",
        also=(f"{row.name}-shared",),
        resource=resource,
        memory_bytes=row.memory_bytes // count,
        bandwidth=row.bandwidth / count,
        price_per_hour=round(row.price_per_hour / count, 3) if row.price_per_hour else None,
        shared=True,
        shares=count,
        inferred=tuple(dict.fromkeys((*row.inferred, "memory", "bandwidth", "price"))),
    )


def _bandwidth(
    product: str, memory_bytes: int, capability: tuple[int, int], catalog: Catalog
) -> tuple[float, str | None]:
    partition = _MIG_PRODUCT.fullmatch(product)
    whole = [row for row in catalog.accelerators.values() if row.vendor == "nvidia" and "-mig-" not in row.name]
    if partition:
        for row in whole:
            products = {v.lower() for i in row.identifications for v in i.labels.get(GFD_PRODUCT, ())}
            if partition[1].lower() in products:
                return row.bandwidth * min(1.0, memory_bytes / row.memory_bytes), row.name
    same = [row.bandwidth for row in whole if row.compute_capability == capability]
    slowest = min(same, default=_SLOWEST)
    return (slowest / 8 if partition else slowest), None


def _name(product: str, *, gib: int, single: bool) -> str:
    """Never the name of a row of the table: those neither begin with the vendor nor end with the memory."""
    text = re.sub(r"[^a-z0-9.]+", "-", product.lower().removeprefix("nvidia-")).strip("-.")
    text = f"nvidia-{text}" + ("-single" if single and "-mig-" in text else "")
    return f"{text[:54]}-{gib}gib"
