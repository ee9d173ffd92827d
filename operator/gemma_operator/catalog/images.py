"""Choose the engine image for a version, vendor, host architecture and driver."""

from gemma_operator.catalog.types import Catalog, EngineImage


def version_key(version: str) -> tuple[int, ...]:
    """A version such as `0.32.0` in an order that sorts."""
    return tuple(int(part) for part in version.split("."))


def images_for(
    catalog: Catalog, *, engine: str, version: str, vendor: str, host_architecture: str
) -> tuple[EngineImage, ...]:
    """Images of that engine version, newest CUDA first; empty when there is none."""
    wanted = version_key(version)
    fitting = [
        image
        for image in catalog.images
        if (image.engine, image.vendor, image.host_architecture) == (engine, vendor, host_architecture)
        and version_key(image.since) <= wanted
        and (image.before is None or wanted < version_key(image.before))
    ]
    return tuple(sorted(fitting, key=lambda image: (image.cuda or (0, 0), image.image), reverse=True))


def image_for(
    catalog: Catalog, *, engine: str, version: str, vendor: str, host_architecture: str, driver: int | None
) -> EngineImage:
    """The image with the newest CUDA that the node's driver (major version) runs; an unknown driver counts as new.

    Raises `LookupError` with a finished sentence when no image exists or the driver is too old for all.
    """
    found = images_for(catalog, engine=engine, version=version, vendor=vendor, host_architecture=host_architecture)
    if not found:
        raise LookupError(f"the catalog has no image of {engine} {version} for {vendor} on {host_architecture}")
    for image in found:
        if driver is None or image.minimum_driver is None or driver >= image.minimum_driver:
            return image
    needed = min(image.minimum_driver or 0 for image in found)
    raise LookupError(f"{engine} {version} needs NVIDIA driver {needed} or newer, the nodes have {driver}")


def reference(image: EngineImage, version: str) -> str:
    """The image reference of one engine version."""
    return image.image.format(version=version)
