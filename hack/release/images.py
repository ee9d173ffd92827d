"""The images of a release as archives that `docker load`, skopeo and crane read, where a container engine answers."""

import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localk8s import images
from localk8s.archive import ARCHITECTURES
from localk8s.console import LocalError, output, step

REGISTRY: Final = "ghcr.io/gemma4-stack"
PUBLISHED: Final = {"operator": "gemma-operator", "router": "gemma-router"}
"""Image of hack/images.toml → name that it is published under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """An image of a release."""

    name: str
    reference: str
    identity: str
    """Digest of its configuration, as the engine calls it."""
    archive: Path


def save(target: Path, *, version: str) -> list[Saved]:
    """Build, name and save every image. The engine must answer."""
    made = []
    built = images.build(PUBLISHED)
    for local, name in zip(built, PUBLISHED.values(), strict=True):
        reference = f"{REGISTRY}/{name}:{version}"
        file = target / f"{name}-{version}-{ARCHITECTURES.get(platform.machine(), platform.machine())}.tar"
        with step(f"saving {reference}", seconds=10):
            output(["docker", "tag", local, reference])
            output(["docker", "save", "--output", file, reference])
        identity = output(["docker", "image", "inspect", "--format", "{{.Id}}", reference]).strip()
        made.append(Saved(name=name, reference=reference, identity=identity, archive=file))
    return made


def run_in(reference: str, code: str) -> str:
    """What Python code prints inside an image, without a network."""
    return output(["docker", "run", "--rm", "--network=none", "--entrypoint=python3", reference, "-c", code])


def references(archive: Path) -> list[str]:
    """The names of the images in an archive; raises `LocalError` where one of its layers is missing."""
    with tarfile.open(archive) as tar:
        names = set(tar.getnames())
        file = tar.extractfile("manifest.json") if "manifest.json" in names else None
        if file is None:
            raise LocalError(f"{archive.name} has no manifest.json: it is no archive of images")
        manifest: list[dict[str, Any]] = json.load(file)
    missing = [part for image in manifest for part in (image["Config"], *image["Layers"]) if part not in names]
    if missing:
        raise LocalError(f"{archive.name} lacks {missing[0]}")
    return [tag for image in manifest for tag in image["RepoTags"]]
