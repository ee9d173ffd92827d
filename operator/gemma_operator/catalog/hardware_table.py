"""`docs/hardware.md`, made from the catalog so that page and planner cannot disagree."""

from collections.abc import Iterable

from gemma_operator.catalog.types import Accelerator, Catalog

_HEAD = """# Hardware

<!-- Made by `make manifests` from operator/gemma_operator/catalog/accelerators.yaml; do not edit. -->

The planner knows these accelerators. `*` marks what was concluded and not read from a source. Prices are public list
prices in US dollars per GPU and hour as known in the month beside them; none was read from a live price list, so that
all carry the mark: put your own into the operator's configuration. Memory is what the driver reports.

vLLM needs compute capability 8.0; FP8 weights and FP8 KV cache need 8.9, NVFP4 needs 10.0.

A GPU outside the table is planned from the labels of GPU feature discovery (product, memory, compute capability);
its bandwidth is then assumed to be the lowest of its compute capability, and it has no price.

"""
_LABELS = """
## How nodes show them

Matching ignores case. GPU feature discovery (GFD) is trusted before the labels of the cloud, those before the instance
type. A value in two rows is told apart by the memory range beside it. `-SHARED` products and GKE time-sharing make rows
`<name>-shared-<n>`, which are used only when a spec lists them. Partitions show by `nvidia.com/mig-<profile>.product`
(strategy `mixed`), by the product label (`single`) or by `cloud.google.com/gke-gpu-partition-size`.

"""
_OVERRIDES = """
## Own rows

The operator's configuration adds rows and overrides fields. They are checked like the table itself, and the operator
does not start with a wrong one.

```yaml
accelerators:
  - name: l4                # other price for a row of the table
    fields:
      price: {perHour: 0.41}
  - name: rtx-3060          # a new row; `like` lends the fields that it does not give
    like: rtx-3090
    fields:
      memory: 12288 MiB
      bandwidth: 360
      labels: {gfd: [NVIDIA-GeForce-RTX-3060]}
```
"""


def hardware_table(catalog: Catalog) -> str:
    """The text of `docs/hardware.md`."""
    whole = [row for row in catalog.accelerators.values() if "-mig-" not in row.name]
    partitions = [row for row in catalog.accelerators.values() if "-mig-" in row.name]
    parts = [
        _HEAD,
        _table(
            (
                "Name",
                "Memory GiB",
                "Bandwidth GB/s",
                "Compute capability",
                "Precisions",
                "Interconnect",
                "Host",
                "USD/h",
                "Price from",
            ),
            (_row(row) for row in whole),
        ),
        "\n## Partitions (MIG)\n\n",
        _table(("Name", "Resource", "Memory GiB", "Bandwidth GB/s", "USD/h"), (_partition(row) for row in partitions)),
        _LABELS,
        _table(("Name", "Labels"), ((row.name, _labels(row)) for row in whole)),
        "\n## Sources\n\n",
        _table(("Name", "Source"), ((row.name, row.source) for row in whole)),
        _OVERRIDES,
    ]
    return "".join(parts)


def mark(row: Accelerator, field: str, text: str) -> str:
    """`text`, with a star where the field was concluded and not read."""
    return f"{text}*" if field in row.inferred else text


def precisions(row: Accelerator) -> str:
    """Precisions that the hardware computes with, besides weight-only int8 and int4."""
    names = [name for name, able in (("bf16", row.bf16), ("fp8", row.fp8), ("nvfp4", row.nvfp4)) if able]
    return " ".join(names) or "none (vLLM refuses)"


def capability(row: Accelerator) -> str:
    """`8.9`, or the architecture where there is no compute capability."""
    return ".".join(map(str, row.compute_capability)) if row.compute_capability else row.architecture


def _row(row: Accelerator) -> tuple[str, ...]:
    price = f"{row.price_per_hour:.2f}" if row.price_per_hour is not None else "–"
    return (
        row.name,
        mark(row, "memory", f"{row.memory_bytes / 2**30:.1f}"),
        mark(row, "bandwidth", f"{row.bandwidth / 1e9:.0f}"),
        capability(row),
        precisions(row),
        row.interconnect,
        row.host_architecture,
        mark(row, "price", price),
        f"{row.price_source}, {row.price_kind}, {row.price_date}" if row.price_source else "–",
    )


def _partition(row: Accelerator) -> tuple[str, ...]:
    price = f"{row.price_per_hour:.2f}" if row.price_per_hour is not None else "–"
    return (
        row.name,
        f"`{row.resource}`",
        mark(row, "memory", f"{row.memory_bytes / 2**30:.1f}"),
        mark(row, "bandwidth", f"{row.bandwidth / 1e9:.0f}"),
        mark(row, "price", price),
    )


def _labels(row: Accelerator) -> str:
    lines = []
    for found in row.identifications:
        for label, values in found.labels.items():
            # Escaped: two stars in one cell would be taken for emphasis.
            star = "\\*" if found.inferred else ""
            shown = ", ".join(f"`{value}`{star}" for value in values)
            memory = f" with {found.memory_mib[0]} to {found.memory_mib[1]} MiB" if found.memory_mib else ""
            lines.append(f"`{label}`: {shown}{memory}")
    return "<br>".join(lines)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
