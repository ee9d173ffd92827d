"""Load the fact files and the operator's overrides into one checked `Catalog`."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gemma_operator.api.config import AcceleratorRow
from gemma_operator.catalog import convert
from gemma_operator.catalog.rows import AcceleratorFacts, AcceleratorsFile, ImagesFile, ModelsFile, merge
from gemma_operator.catalog.source import CatalogError, Document, describe, path_text, read
from gemma_operator.catalog.types import Accelerator, Catalog, Checkpoint, Model

FACTS = Path(__file__).parent


def load_catalog(overrides: Sequence[AcceleratorRow] = (), *, directory: Path = FACTS) -> Catalog:
    """The catalog of `directory` with the accelerators of the operator's configuration added or overridden.

    Raises `CatalogError` that names file and line of every wrong row, or the override, and the remedy.
    """
    models, checkpoints, denied, images = _engine_facts(directory)
    return Catalog(
        models={model.key: model for model in models},
        checkpoints=checkpoints,
        accelerators=_accelerators(directory, overrides),
        images=images,
        denied_versions=denied,
    )


@cache
def _engine_facts(directory: Path) -> Any:
    document = read(directory / "models.yaml")
    file = document.validate(ModelsFile)
    models = tuple(convert.model(row) for row in file.models)
    checkpoints = tuple(convert.checkpoint(row, models) for row in file.checkpoints)
    _check_models(document, models, checkpoints)
    images = tuple(convert.image(row) for row in read(directory / "images.yaml").validate(ImagesFile).images)
    denied = {engine: dict(why) for engine, why in file.denied_versions.items()}
    return models, checkpoints, denied, images


@cache
def _accelerator_facts(directory: Path) -> tuple[Document, AcceleratorsFile]:
    document = read(directory / "accelerators.yaml")
    return document, document.validate(AcceleratorsFile)


def _accelerators(directory: Path, overrides: Sequence[AcceleratorRow]) -> dict[str, Accelerator]:
    document, file = _accelerator_facts(directory)
    raw: dict[str, dict[str, Any]] = {}
    facts: dict[str, AcceleratorFacts] = {}
    for index, row in enumerate(file.accelerators):
        if row.name in facts:
            raise _at(document, ("accelerators", index), f"a second row {row.name!r}: remove or rename one of them")
        raw[row.name], facts[row.name] = document.value["accelerators"][index], row
    where = {
        row.name: f"{document.file}:{document.line(('accelerators', index))}: row {row.name!r}"
        for index, row in enumerate(file.accelerators)
    }
    for index, override in enumerate(overrides):
        place = f"operator configuration: accelerators[{index}] ({override.name!r})"
        facts[override.name] = _overridden(override, raw, place)
        where[override.name] = place
    rows = {name: convert.accelerator(row) for name, row in facts.items()}
    for index, partitions in enumerate(file.mig):
        for parent in partitions.of:
            if parent not in rows:
                raise _at(document, ("mig", index, "of"), f"no row {parent!r}: name a row of `accelerators`")
            for profile in partitions.profiles:
                partition = convert.partition(rows[parent], partitions, profile)
                if partition.name not in rows:
                    rows[partition.name] = partition
    _refuse_ambiguous_labels(rows, where)
    return rows


def _overridden(override: AcceleratorRow, raw: dict[str, dict[str, Any]], place: str) -> AcceleratorFacts:
    if override.like is not None and override.like not in raw:
        raise CatalogError(f"{place}: `like: {override.like}` is no row: use one of {', '.join(sorted(raw))}")
    known = raw.get(override.name, {})
    base = (
        {key: value for key, value in raw[override.like].items() if key != "labels"} if override.like else dict(known)
    )
    if override.like and "labels" in known:
        base["labels"] = known["labels"]
    row = merge({"source": "operator configuration", **base}, {**override.fields, "name": override.name})
    try:
        checked = AcceleratorFacts.model_validate(row)
    except ValidationError as error:
        lines = [f"{place}: {describe(path_text(e['loc']), e['msg'], e['type'])}" for e in error.errors()]
        raise CatalogError("\n".join(lines)) from None
    raw[override.name] = row
    return checked


def _refuse_ambiguous_labels(rows: dict[str, Accelerator], where: dict[str, str]) -> None:
    """One label value must mean one row, unless ranges of reported memory keep the rows apart."""
    seen: dict[tuple[object, ...], list[tuple[str, tuple[int, int] | None]]] = {}
    for name, row in rows.items():
        for identification in row.identifications:
            for label, values in identification.labels.items():
                for value in values:
                    others = ",".join(f"{k}={v}" for k, v in identification.labels.items() if k != label)
                    key = (label, value.lower(), others, identification.resource or row.resource)
                    for other, memory in seen.setdefault(key, []):
                        if other != name and _overlap(memory, identification.memory_mib):
                            raise CatalogError(
                                f"{where.get(name, name)}: label {label}={value} already means {other!r}: remove it "
                                "from one of them, or give both a memoryMib range"
                            )
                    seen[key].append((name, identification.memory_mib))


def _overlap(one: tuple[int, int] | None, other: tuple[int, int] | None) -> bool:
    return one is None or other is None or (one[0] <= other[1] and other[0] <= one[1])


def _check_models(document: Document, models: tuple[Model, ...], checkpoints: tuple[Checkpoint, ...]) -> None:
    keys = [model.key for model in models]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            raise _at(document, ("models", index), f"a second model {key!r}: remove one of them")
    seen: set[tuple[str, str, str]] = set()
    for index, checkpoint in enumerate(checkpoints):
        if checkpoint.model not in keys:
            raise _at(
                document, ("checkpoints", index, "model"), f"no model {checkpoint.model!r}: add it or correct this"
            )
        identity = (checkpoint.repository, checkpoint.engine, checkpoint.precision)
        if identity in seen:
            raise _at(document, ("checkpoints", index), f"a second row for {identity}: remove one of them")
        seen.add(identity)


def _at(document: Document, path: Sequence[str | int], problem: str) -> CatalogError:
    return CatalogError(f"{document.file}:{document.line(path)}: {path_text(path)}: {problem}")
