"""Container images written as archives (the format of `docker save`), without an engine."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """An image of one or more uncompressed layers."""

    reference: str
    layers: tuple[bytes, ...]
    entrypoint: tuple[str, ...] = field(default=())


def layer(files: Mapping[str, Path]) -> bytes:
    """Return a tar with these files (path in the image → file of the host), executable, owned by root, undated."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, source in sorted(files.items()):
            data = source.read_bytes()
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def write(images: Iterable[Image], file: Path) -> None:
    """Write an archive of images that `ctr images import` and `docker load` read."""
    manifest = []
    with tarfile.open(file, "w") as tar:
        for image in images:
            digests = [hashlib.sha256(data).hexdigest() for data in image.layers]
            config = json.dumps(
                {
                    "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
                    "os": "linux",
                    "config": {"Env": [SEARCH_PATH], "Entrypoint": list(image.entrypoint), "WorkingDir": "/"},
                    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
                    "history": [{"created_by": "hack/local"} for _ in digests],
                }
            ).encode()
            config_name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add(tar, config_name, config)
            names = []
            for digest, data in zip(digests, image.layers, strict=True):
                names.append(f"{digest}.tar")
                _add(tar, names[-1], data)
            manifest.append({"Config": config_name, "RepoTags": [image.reference], "Layers": names})
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
