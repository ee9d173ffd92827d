"""The engine image for the nodes of a row: the newest CUDA that every node can run whose driver runs any."""

from collections.abc import Sequence
from dataclasses import dataclass

from gemma_operator.api.mirror import mirrored
from gemma_operator.catalog.images import image_for, reference
from gemma_operator.catalog.types import Accelerator, Catalog, EngineImage
from gemma_operator.inventory.types import Node
from gemma_operator.planner.ask import Ask
from gemma_operator.planner.refusal import Refusal, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChoice:
    """An image, and the nodes whose driver can run it."""

    image: str
    nodes: tuple[Node, ...]
    old_drivers: tuple[int, ...]
    """Driver versions of nodes that no image of this engine version runs on."""
    inferred: tuple[str, ...] = ()


def choose(nodes: Sequence[Node], ask: Ask, *, accelerator: Accelerator, catalog: Catalog) -> ImageChoice | Refusal:
    """The image, or why there is none; a node without a driver label is taken to run the newest."""
    if configured := ask.config.engine.images.get(accelerator.vendor):
        return ImageChoice(image=configured, nodes=tuple(nodes), old_drivers=())

    def of(driver: int | None) -> EngineImage:
        return image_for(
            catalog,
            engine="vllm",
            version=ask.engine_version,
            vendor=accelerator.vendor,
            host_architecture=accelerator.host_architecture,
            driver=driver,
        )

    try:
        chosen = of(None)
    except LookupError as error:
        return Refusal(Stage.ENGINE, "NoImage", str(error.args[0]))
    old: dict[int, str] = {}
    for driver in sorted({node.driver for node in nodes if node.driver is not None}, reverse=True):
        try:
            chosen = of(driver)
        except LookupError as error:
            old[driver] = str(error.args[0])
    able = tuple(node for node in nodes if node.driver not in old)
    if nodes and not able:
        return Refusal(Stage.HARDWARE, "DriverTooOld", old[max(old)])
    return ImageChoice(
        image=mirrored(reference(chosen, ask.engine_version), registry=ask.config.image_registry),
        nodes=able,
        old_drivers=tuple(sorted(old)),
        inferred=tuple(f"image {field}" for field in chosen.inferred),
    )
