"""Candidates: model × checkpoint × accelerator × GPUs per replica, and what rules one out before any arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass

from gemma_operator.catalog.types import Accelerator, Catalog, Checkpoint, Model
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.ask import Ask
from gemma_operator.planner.refusal import Refusal, Stage

_VLLM = "vllm"
_CC_FLOOR = (8, 0)
"""Below it the kernels of Gemma 4's head size 512 need more shared memory than there is, and there is no bf16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An accelerator as the cluster offers it."""

    accelerator: Accelerator
    resource: str | None
    preference: int
    """Place in the user's order; 0 without one."""
    gpus: int
    """Most GPUs of the row on one node, usable or not; 0 while no device plugin answers."""

    @property
    def name(self) -> str:
        """Name of the row."""
        return self.accelerator.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to serve a model."""

    model: Model
    checkpoint: Checkpoint
    row: Row
    gpus: int


def rows(inventory: Inventory, ask: Ask) -> list[Row]:
    """Accelerators that the deployment may use: every GPU here, or those that it lists."""
    found = []
    for name, accelerator in inventory.accelerators.items():
        place = ask.lists(name, *accelerator.also)
        if place is None and (ask.spec.accelerators or accelerator.resource is None or accelerator.shared):
            continue
        most: dict[str | None, int] = {}
        for node in inventory.carrying(name):
            for carried in node.carries:
                if carried.accelerator.name == name:
                    here = node.allocatable.devices.get(carried.resource, 0) if carried.resource else 1
                    most[carried.resource] = max(most.get(carried.resource, 0), here)
        found += [
            Row(accelerator=accelerator, resource=resource, preference=place or 0, gpus=gpus)
            for resource, gpus in sorted(most.items(), key=lambda item: item[0] or "")
        ]
    return found


def absent(inventory: Inventory, ask: Ask) -> list[str]:
    """Accelerators that are listed and that no node carries, in the order given."""
    names = {name for accelerator in inventory.accelerators.values() for name in (accelerator.name, *accelerator.also)}
    return [listed for listed in dict.fromkeys(each.lower() for each in ask.spec.accelerators) if listed not in names]


def candidates(row: Row, ask: Ask, *, catalog: Catalog) -> Iterator[tuple[Candidate, ...]]:
    """Candidates on a row. Those of one tuple differ only in the checkpoint: the first that fits stands for all."""
    partitioned = row.accelerator.shared or row.accelerator.interconnect.lower() == "none"
    for key in ask.models:
        model = catalog.models[key]
        groups: dict[str, list[Checkpoint]] = {}
        others: dict[str, list[Checkpoint]] = {}
        for checkpoint in catalog.checkpoints:
            if checkpoint.model == key and ask.spec.precision in ("auto", checkpoint.precision):
                kind = groups if checkpoint.engine == _VLLM else others
                kind.setdefault(checkpoint.precision, []).append(checkpoint)
        sizes = model.architecture.tensor_parallel_sizes
        for group in groups.values():
            group.sort(key=lambda checkpoint: (checkpoint.preference, checkpoint.repository))
            for gpus in (1,) if partitioned or row.resource is None else sizes:
                if gpus <= max(row.gpus, 1):
                    yield tuple(Candidate(model=model, checkpoint=each, row=row, gpus=gpus) for each in group)
        # Ollama is told about where vLLM has nothing of that precision, so that no candidate has two reasons.
        if ask.spec.engine == "auto" and (beside := [found for name, found in others.items() if name not in groups]):
            first = min(beside[0], key=lambda checkpoint: (checkpoint.preference, checkpoint.repository))
            yield (Candidate(model=model, checkpoint=first, row=row, gpus=1),)


def illegal(candidate: Candidate, ask: Ask, *, catalog: Catalog) -> Refusal | None:
    """What makes a candidate impossible whatever memory and nodes there are."""
    return _engine(candidate, ask, catalog=catalog) or _hardware(candidate) or _model(candidate, ask)


def _engine(candidate: Candidate, ask: Ask, *, catalog: Catalog) -> Refusal | None:
    checkpoint, version = candidate.checkpoint, ask.engine_version
    if checkpoint.engine != _VLLM:
        return Refusal(
            Stage.ENGINE, "EngineNotYet", f"{checkpoint.engine.capitalize()} is not supported yet: use engine vllm"
        )
    if denied := catalog.denied_versions.get(_VLLM, {}).get(version):
        return Refusal(Stage.ENGINE, "EngineVersionDenied", f"vLLM {version} is denied: {denied}")
    needed = max(
        (checkpoint.minimum_engine_version, candidate.model.minimum_engine_version.get(_VLLM, "0")), key=version_tuple
    )
    if version_tuple(version) < version_tuple(needed):
        return Refusal(
            Stage.ENGINE,
            "EngineTooOld",
            f"needs vLLM {needed} or newer and {version} is set: raise or remove engineVersion",
        )
    return None


def _hardware(candidate: Candidate) -> Refusal | None:
    checkpoint, accelerator = candidate.checkpoint, candidate.row.accelerator
    if accelerator.vendor not in checkpoint.vendors:
        return Refusal(
            Stage.HARDWARE,
            "VendorUnsupported",
            f"{checkpoint.repository} does not run on {accelerator.vendor} hardware, only on "
            f"{' and '.join(checkpoint.vendors)}",
        )
    has = accelerator.compute_capability
    if accelerator.vendor == "nvidia" and has is not None:
        floor = max(checkpoint.minimum_compute_capability or _CC_FLOOR, _CC_FLOOR)
        if has < floor:
            return Refusal(
                Stage.HARDWARE,
                "ComputeCapabilityTooLow",
                f"vLLM needs compute capability {floor[0]}.{floor[1]} for {checkpoint.precision} Gemma 4 and "
                f"{accelerator.name} has {has[0]}.{has[1]}: use a newer GPU (Ollama could, and is not supported yet)",
            )
    if checkpoint.maximum_tensor_parallel is not None and candidate.gpus > checkpoint.maximum_tensor_parallel:
        return Refusal(
            Stage.HARDWARE,
            "TensorParallelUnsupported",
            f"{checkpoint.repository} cannot be split over {candidate.gpus} GPUs, over "
            f"{checkpoint.maximum_tensor_parallel} at most",
        )
    if checkpoint.precision == "nvfp4" and not accelerator.nvfp4:
        return Refusal(
            Stage.HARDWARE, "PrecisionUnsupported", f"{accelerator.name} has no NVFP4 arithmetic: use int4 or fp8"
        )
    if checkpoint.precision == "fp8" and not accelerator.fp8:
        return Refusal(
            Stage.HARDWARE, "PrecisionUnsupported", f"{accelerator.name} has no FP8 arithmetic: use bf16 or int4"
        )
    return None


def _model(candidate: Candidate, ask: Ask) -> Refusal | None:
    model, features = candidate.model, ask.spec.features
    longest = max(ask.spec.context, ask.spec.typical_tokens)
    if longest > model.context_limit:
        field = "context" if ask.spec.context > model.context_limit else "typicalTokens"
        return Refusal(
            Stage.MODEL,
            "ContextAboveLimit",
            f"{field} {longest} is above the limit of {model.key}, {model.context_limit}: lower it",
        )
    for wanted, modality in ((features.images, "image"), (features.audio, "audio")):
        if wanted and modality not in model.modalities:
            return Refusal(
                Stage.MODEL, "ModalityMissing", f"{model.key} takes no {modality} input and spec.features asks for it"
            )
        if wanted and candidate.checkpoint.text_only:
            return Refusal(
                Stage.MODEL,
                "ModalityMissing",
                f"{candidate.checkpoint.repository} is text only and spec.features asks for {modality} input",
            )
    return None


def version_tuple(version: str) -> tuple[int, ...]:
    """`0.32.0` as numbers that compare."""
    return tuple(int(part) for part in version.split("."))
