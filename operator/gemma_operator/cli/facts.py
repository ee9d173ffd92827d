"""What the catalog and the memory arithmetic know, as tables and as JSON."""

from itertools import product
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gemma_operator.api.spec import MODEL_KEYS, model_key
from gemma_operator.catalog.types import Accelerator, Catalog, Checkpoint, Model
from gemma_operator.cli.failure import CliError
from gemma_operator.cli.output import FOOTNOTE, MARK, table
from gemma_operator.cli.source import catalog_for, configuration
from gemma_operator.planner.memory import kv_bytes_per_sequence
from gemma_operator.planner.text import GIB, size

Json = dict[str, Any]

_KV_DTYPES = ("bf16", "fp8")


def memory_rows(
    *, models: str, tp: str, kv_dtypes: str, batched: str, batches: str, contexts: str, block_size: int
) -> list[Json]:
    """One row for every combination; raises `CliError` for a value that no model or engine takes."""
    catalog = catalog_for(configuration(None))
    chosen = [catalog.models[key] for key in chosen_models(models)]
    dtypes = [part.strip() for part in kv_dtypes.split(",")]
    if unknown := [dtype for dtype in dtypes if dtype not in _KV_DTYPES]:
        raise CliError(f"--kv-dtype {unknown[0]!r}: use bf16 or fp8")
    rows = []
    for model, gpus, dtype, tokens, flight, context in product(
        chosen,
        _numbers("--tp", tp),
        dtypes,
        _numbers("--max-num-batched-tokens", batched),
        _numbers("--batches-in-flight", batches),
        _numbers("--context", contexts),
    ):
        legal = model.architecture.tensor_parallel_sizes
        if gpus not in legal:
            raise CliError(f"--tp {gpus}: {model.key} splits over {', '.join(map(str, legal))} GPUs")
        if context > model.context_limit:
            raise CliError(f"--context {context}: above the limit of {model.key}, {model.context_limit}")
        rows.append(
            {
                "model": model.key,
                "tp": gpus,
                "kv_dtype": dtype,
                "max_num_batched_tokens": tokens,
                "batches_in_flight": flight,
                "context": context,
                "bytes_per_sequence_per_gpu": kv_bytes_per_sequence(
                    model=model,
                    tp=gpus,
                    kv_dtype=dtype,
                    max_num_batched_tokens=tokens,
                    batches_in_flight=flight,
                    context=context,
                    block_size=block_size,
                ),
            }
        )
    return rows


def chosen_models(text: str) -> list[Any]:
    """Model keys of an option; raises `CliError` for a name that is none."""
    if text.strip().lower() == "all":
        return list(MODEL_KEYS)
    try:
        keys = [model_key(part.strip()) for part in text.split(",")]
    except KeyError as error:
        raise CliError(f"--model {error.args[0]!r}: use all or some of {', '.join(MODEL_KEYS)}") from None
    if None in keys:
        raise CliError(f"--model auto: name the models, or use all ({', '.join(MODEL_KEYS)})")
    return list(dict.fromkeys(keys))


def _numbers(option: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if wrong := [part for part in parts if not part.isdigit() or int(part) < 1]:
        raise CliError(f"{option} {wrong[0]!r}: write numbers above 0 separated by commas")
    return [int(part) for part in parts]


def memory_table(rows: list[Json]) -> Table:
    """The rows for people."""
    made = table("MODEL", "TP", "KV", "BATCHED", "IN FLIGHT", "CONTEXT", "BYTES/SEQ/GPU", "GIB", right=_NUMERIC)
    for row in rows:
        amount = row["bytes_per_sequence_per_gpu"]
        made.add_row(
            row["model"],
            str(row["tp"]),
            row["kv_dtype"],
            str(row["max_num_batched_tokens"]),
            str(row["batches_in_flight"]),
            str(row["context"]),
            str(amount),
            f"{amount / GIB:.3f}",
        )
    return made


_NUMERIC = ("TP", "BATCHED", "IN FLIGHT", "CONTEXT", "BYTES/SEQ/GPU", "GIB", "MEMORY", "GB/S", "USD/H", "WEIGHTS")


def _marked(text: str, *, name: str, inferred: tuple[str, ...]) -> str:
    return f"{text}{MARK}" if name in inferred else text


def show_models(catalog: Catalog, out: Console) -> None:
    """Models, then their checkpoints."""
    rows = table("MODEL", "TITLE", "CONTEXT", "INPUT", "LAYERS", "TP", "QUALITY", right=("CONTEXT",))
    for model in catalog.models.values():
        numbers = model.architecture
        rows.add_row(
            model.key,
            model.title,
            str(model.context_limit),
            ", ".join(model.modalities),
            f"{numbers.sliding.total} sliding + {numbers.full.total} global",
            " ".join(map(str, numbers.tensor_parallel_sizes)),
            _marked(escape(model.quality_source), name="quality", inferred=model.inferred),
        )
    out.print(rows)
    out.print()
    rows = table("MODEL", "PRECISION", "ENGINE", "CHECKPOINT", "WEIGHTS", "NEEDS", "SINCE", right=_NUMERIC)
    for each in catalog.checkpoints:
        rows.add_row(
            each.model,
            each.precision,
            each.engine,
            each.repository,
            _marked(size(each.weights_bytes), name="loaded", inferred=each.inferred),
            _needs(each),
            each.minimum_engine_version,
        )
    out.print(rows)
    out.print(FOOTNOTE, style="dim")


def _needs(checkpoint: Checkpoint) -> str:
    needs = " or ".join(checkpoint.vendors)
    if checkpoint.minimum_compute_capability:
        needs += f", compute capability {_version(checkpoint.minimum_compute_capability)}"
    return f"{needs}, text only" if checkpoint.text_only else needs


def _version(pair: tuple[int, int] | None) -> str | None:
    return f"{pair[0]}.{pair[1]}" if pair else None


def models_json(catalog: Catalog) -> list[Json]:
    """Models with their checkpoints, best last."""
    return [
        _model_json(model) | {"checkpoints": [_checkpoint_json(c) for c in catalog.checkpoints if c.model == model.key]}
        for model in catalog.models.values()
    ]


def _model_json(model: Model) -> Json:
    numbers = model.architecture
    return {
        "model": model.key,
        "title": model.title,
        "quality": model.quality,
        "qualitySource": model.quality_source,
        "contextLimit": model.context_limit,
        "modalities": list(model.modalities),
        "slidingLayers": numbers.sliding.total,
        "globalLayers": numbers.full.total,
        "window": numbers.window,
        "tensorParallelSizes": list(numbers.tensor_parallel_sizes),
        "source": model.source,
        "inferred": list(model.inferred),
    }


def _checkpoint_json(checkpoint: Checkpoint) -> Json:
    return {
        "checkpoint": checkpoint.repository,
        "precision": checkpoint.precision,
        "engine": checkpoint.engine,
        "weightsBytes": checkpoint.weights_bytes,
        "downloadBytes": checkpoint.download_bytes,
        "vendors": list(checkpoint.vendors),
        "minimumComputeCapability": _version(checkpoint.minimum_compute_capability),
        "minimumEngineVersion": checkpoint.minimum_engine_version,
        "textOnly": checkpoint.text_only,
        "source": checkpoint.source,
        "inferred": list(checkpoint.inferred),
    }


def show_accelerators(catalog: Catalog, out: Console) -> None:
    """The hardware table."""
    rows = table("NAME", "VENDOR", "MEMORY", "CC", "GB/S", "PRECISIONS", "USD/H", "PRICE", "LABELS", right=_NUMERIC)
    for row in catalog.accelerators.values():
        mark = row.inferred
        price = "unknown" if row.price_per_hour is None else f"{row.price_per_hour:.2f}"
        rows.add_row(
            row.name,
            row.vendor,
            _marked(size(row.memory_bytes), name="memory", inferred=mark),
            _version(row.compute_capability) or "–",
            _marked(f"{row.bandwidth / 1e9:.0f}", name="bandwidth", inferred=mark),
            " ".join(name for name, has in (("bf16", row.bf16), ("fp8", row.fp8), ("nvfp4", row.nvfp4)) if has),
            _marked(price, name="price", inferred=mark),
            f"{row.price_kind} {row.price_date}".strip(),
            " ".join(_label_sources(row)),
        )
    out.print(rows)
    out.print(FOOTNOTE, style="dim")


def _label_sources(row: Accelerator) -> list[str]:
    return list(dict.fromkeys(f"{i.source}{MARK if i.inferred else ''}" for i in row.identifications))


def accelerators_json(catalog: Catalog) -> list[Json]:
    """The hardware table for programs."""
    return [
        {
            "name": row.name,
            "vendor": row.vendor,
            "resource": row.resource,
            "memoryBytes": row.memory_bytes,
            "computeCapability": _version(row.compute_capability),
            "bandwidthBytesPerSecond": row.bandwidth,
            "architecture": row.architecture,
            "bf16": row.bf16,
            "fp8": row.fp8,
            "nvfp4": row.nvfp4,
            "interconnect": row.interconnect,
            "hostArchitecture": row.host_architecture,
            "pricePerHour": row.price_per_hour,
            "priceDate": row.price_date,
            "priceKind": row.price_kind,
            "labels": [
                {
                    "source": found.source,
                    "labels": {key: list(values) for key, values in found.labels.items()},
                    "memoryLabel": found.memory_label,
                    "memoryMiB": list(found.memory_mib) if found.memory_mib else None,
                    "inferred": found.inferred,
                }
                for found in row.identifications
            ],
            "source": row.source,
            "inferred": list(row.inferred),
        }
        for row in catalog.accelerators.values()
    ]
