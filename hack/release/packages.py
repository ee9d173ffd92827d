"""Wheel, source distribution and chart packages, byte for byte the same each time."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Final

from localk8s import binaries, wheels
from localk8s.console import LocalError, output

CHARTS: Final = ("gemma4-stack", "gemma4-models")
_BUILD: Final = "import sys, setuptools.build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"


def python_packages(source: Path, target: Path, *, epoch: int, scratch: Path) -> list[Path]:
    """The source distribution, and the wheel built from that and nothing else."""
    sdist = _built("sdist", source, target, epoch=epoch)
    repack(sdist, epoch=epoch)
    with tarfile.open(sdist) as tar:
        tar.extractall(scratch, filter="data")
    [unpacked] = scratch.iterdir()
    return [sdist, _built("wheel", unpacked, target, epoch=epoch)]


def chart_packages(source: Path, target: Path, *, version: str, epoch: int) -> list[Path]:
    """One package for each chart, by the pinned Helm."""
    made = []
    for chart in CHARTS:
        output([binaries.path("helm"), "package", source / "charts" / chart, "--destination", target])
        package = target / f"{chart}-{version}.tgz"
        if not package.exists():
            raise LocalError(f"helm made no {package.name}: charts/{chart}/Chart.yaml is not of version {version}")
        repack(package, epoch=epoch)
        made.append(package)
    return made


def repack(file: Path, *, epoch: int) -> None:
    """Write a .tar.gz anew: sorted, owned by root, all of one time."""
    buffer = io.BytesIO()
    with tarfile.open(file) as old, tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            content = old.extractfile(member) if member.isfile() else None
            info = tarfile.TarInfo(member.name)
            info.type, info.size, info.mtime = member.type, member.size, epoch
            info.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(info, content)
    with file.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=epoch) as packed:
        packed.write(buffer.getvalue())


def _built(kind: str, source: Path, target: Path, *, epoch: int) -> Path:
    text = output(
        ["env", f"--chdir={source}", wheels.python(), "-c", _BUILD, kind, target],
        env={"SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"},
    )
    return target / text.splitlines()[-1]
