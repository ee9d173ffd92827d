"""`kubectl gemma images`: what a site without a way out must bring in, with bytes, and a script that mirrors it."""

import asyncio
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from gemma_operator import __version__
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.mirror import mirrored
from gemma_operator.catalog.images import images_for, reference
from gemma_operator.catalog.types import Catalog, Checkpoint
from gemma_operator.cli.facts import chosen_models
from gemma_operator.cli.failure import CliError
from gemma_operator.cli.options import ConfigFile, Output
from gemma_operator.cli.output import FOOTNOTE, MARK, Format, console, table, warn, write
from gemma_operator.cli.registry import Unknown, Weight, weigh
from gemma_operator.cli.source import catalog_for, configuration
from gemma_operator.planner.text import size

OPERATOR_IMAGE: Final = f"ghcr.io/gemma4-stack/gemma-operator:{__version__}"
"""As the chart of this version installs it."""
_ENGINE: Final = "vllm"
_VENDORS: Final = ("nvidia", "amd", "cpu")
_ARCHITECTURES: Final = ("amd64", "arm64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that runs, and where it comes from."""

    source: str
    """Where the public has it."""
    target: str
    """Where nodes pull it from, as configured."""
    use: str


def images(
    model: Annotated[str, typer.Option("--model", help="Models separated by commas, or all.")] = "all",
    precision: Annotated[str, typer.Option("--precision", help="bf16, fp8, int8, int4, nvfp4, or all.")] = "all",
    vendor: Annotated[str, typer.Option("--vendor", help="nvidia, amd, cpu, separated by commas, or all.")] = "nvidia",
    registry: Annotated[
        str | None, typer.Option("--registry", help="Registry of the site; unset: imageRegistry of the configuration.")
    ] = None,
    script: Annotated[bool, typer.Option("--script", help="Print a shell script that mirrors all of it.")] = False,
    ask: Annotated[
        bool, typer.Option("--ask-registries", help="Ask what the images weigh, where the internet is; anonymously.")
    ] = False,
    config: ConfigFile = None,
    output: Output = Format.table,
) -> None:
    """List images and weights with their bytes for a site without internet; needs no cluster."""
    settings = configuration(config)
    if registry:
        settings = settings.model_copy(update={"image_registry": registry})
    catalog = catalog_for(settings)
    vendors = _chosen("--vendor", vendor, _VENDORS)
    found = list(image_list(catalog, settings, vendors=vendors))
    weights = _weights(catalog, models=chosen_models(model), precision=precision, vendors=vendors)
    if script and not settings.image_registry:
        raise CliError("--script needs the registry of the site: give --registry, or imageRegistry in --config")
    weighed = asyncio.run(weigh(image.source for image in found)) if ask else {}
    for source, answer in weighed.items():
        if isinstance(answer, Unknown):
            warn(f"note: what {source} weighs is unknown: {answer.why}")
    if script:
        typer.echo(mirror_script(found, weights, weighed), nl=False)
    elif output is Format.table:
        _show(found, weights, weighed, console())
    else:
        write(_json(found, weights, weighed), form=output)


def image_list(catalog: Catalog, config: OperatorConfig, *, vendors: Sequence[str]) -> Iterator[Image]:
    """Every image of operator, router and engine that a configuration may run on hardware of these vendors."""
    registry = config.image_registry
    yield Image(source=OPERATOR_IMAGE, target=mirrored(OPERATOR_IMAGE, registry=registry), use="operator")
    public = config.model_copy(update={"image_registry": None})
    yield Image(source=public.router_image, target=config.router_image, use="router")
    version = config.engine.version
    seen: set[str] = set()
    for vendor in vendors:
        own = config.engine.images.get(vendor)
        rows = [own] if own else _references(catalog, vendor=vendor, version=version)
        for source in rows:
            if source not in seen:
                seen.add(source)
                # An image that the configuration names is used as it stands there.
                target = source if own else mirrored(source, registry=registry)
                yield Image(source=source, target=target, use=f"{_ENGINE} {version} on {vendor}")


def _references(catalog: Catalog, *, vendor: str, version: str) -> list[str]:
    return [
        reference(image, version)
        for architecture in _ARCHITECTURES
        for image in images_for(catalog, engine=_ENGINE, version=version, vendor=vendor, host_architecture=architecture)
    ]


def mirror_script(
    found: Sequence[Image], weights: Sequence[Checkpoint], weighed: Mapping[str, Weight | Unknown]
) -> str:
    """A POSIX shell script: copies images to the site's registry, downloads weights to a folder."""
    copied = [image for image in found if image.source != image.target]
    lines = [
        "#!/bin/sh",
        "# Copies the images to the registry of the site and downloads the weights to a folder in the layout of the",
        "# Hugging Face cache: copy it to the volume of spec.weights.cache (there it is /weights/huggingface).",
        f"# {len(copied)} images, {_images_total(copied, weighed)}.",
        f"# {len(weights)} checkpoints, {size(_total(weights))}.",
        "# Needs skopeo or crane, and hf.",
        "# HF_TOKEN must be set where a repository is gated.",
        "set -eu",
        "WEIGHTS=${WEIGHTS:-./weights}",
        "copy() {",
        "  if command -v skopeo >/dev/null; then",
        '    skopeo copy --all "docker://$1" "docker://$2"',
        "  else",
        '    crane copy "$1" "$2"',
        "  fi",
        "}",
        "",
        *(_copy(image, weighed) for image in copied),
        "",
        'export HF_HOME="$WEIGHTS/huggingface"',
        *(f"hf download {shlex.quote(each.repository)}  # {size(each.download_bytes)}" for each in weights),
    ]
    return "\n".join(lines) + "\n"


def _weights(catalog: Catalog, *, models: Sequence[str], precision: str, vendors: Sequence[str]) -> list[Checkpoint]:
    known = sorted({each.precision for each in catalog.checkpoints})
    precisions = _chosen("--precision", precision, known)
    found: dict[str, Checkpoint] = {}
    for each in catalog.checkpoints:
        wanted = each.engine == _ENGINE and each.model in models and each.precision in precisions
        if wanted and set(each.vendors) & set(vendors):
            # One repository may serve several precisions: it is downloaded once.
            before = found.get(each.repository)
            if before is None or before.download_bytes <= each.download_bytes:
                found[each.repository] = each
    return list(found.values())


def _chosen(option: str, text: str, known: Sequence[str]) -> list[str]:
    parts = [part.strip().lower() for part in text.split(",")]
    if parts == ["all"]:
        return list(known)
    if unknown := [part for part in parts if part not in known]:
        raise CliError(f"{option} {unknown[0]!r}: use all or some of {', '.join(known)}")
    return parts


def _total(weights: Sequence[Checkpoint]) -> int:
    return sum(each.download_bytes for each in weights)


def _bytes(image: Image, weighed: Mapping[str, Weight | Unknown]) -> int | None:
    answer = weighed.get(image.source)
    return answer.total if isinstance(answer, Weight) else None


def _images_total(found: Sequence[Image], weighed: Mapping[str, Weight | Unknown]) -> str:
    known = [number for image in found if (number := _bytes(image, weighed)) is not None]
    missing = len(found) - len(known)
    if not known:
        return "bytes unknown"
    return size(sum(known)) + (f" and {missing} of unknown bytes" if missing else "")


def _copy(image: Image, weighed: Mapping[str, Weight | Unknown]) -> str:
    number = _bytes(image, weighed)
    told = "" if number is None else f"  # {size(number)}"
    return f"copy {shlex.quote(image.source)} {shlex.quote(image.target)}{told}"


def _show(
    found: Sequence[Image], weights: Sequence[Checkpoint], weighed: Mapping[str, Weight | Unknown], out: Console
) -> None:
    rows = table("IMAGE", "PULLED AS", "FOR", "BYTES", "GIB", right=("BYTES", "GIB"))
    for image in found:
        number = _bytes(image, weighed)
        rows.add_row(
            image.source,
            "the same" if image.source == image.target else image.target,
            image.use,
            "unknown" if number is None else str(number),
            "unknown" if number is None else size(number).removesuffix(" GiB"),
        )
    out.print(rows)
    out.print()
    rows = table("WEIGHTS", "MODEL", "PRECISION", "BYTES", "GIB", right=("BYTES", "GIB"))
    for each in weights:
        gib = size(each.download_bytes).removesuffix(" GiB")
        mark = MARK if "download" in each.inferred else ""
        rows.add_row(each.repository, each.model, each.precision, f"{each.download_bytes}{mark}", f"{gib}{mark}")
    out.print(rows)
    if any("download" in each.inferred for each in weights):
        out.print(FOOTNOTE, style="dim")
    out.print()
    out.print(f"{len(found)} images, {_images_total(found, weighed)}")
    out.print(f"{len(weights)} checkpoints, {size(_total(weights))}")
    if not weighed:
        out.print("What images weigh only their registries know: --ask-registries asks them", style="dim")


def _json(
    found: Sequence[Image], weights: Sequence[Checkpoint], weighed: Mapping[str, Weight | Unknown]
) -> dict[str, Any]:
    return {
        "images": [_image_json(image, weighed.get(image.source)) for image in found],
        "weights": [
            {
                "repository": each.repository,
                "model": each.model,
                "precision": each.precision,
                "bytes": each.download_bytes,
                "inferred": list(each.inferred),
            }
            for each in weights
        ],
        "weightsBytes": _total(weights),
    }


def _image_json(image: Image, answer: Weight | Unknown | None) -> dict[str, Any]:
    known = answer if isinstance(answer, Weight) else None
    return {
        "source": image.source,
        "target": image.target,
        "use": image.use,
        "bytes": known.total if known else None,
        "platforms": dict(known.platforms) if known else {},
    }
