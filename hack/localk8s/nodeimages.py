"""The images that kubeadm starts a node's system pods from, made of the built binaries."""

import subprocess
from pathlib import Path

from localk8s import archive, binaries, paths, pins
from localk8s.archive import Image
from localk8s.console import LocalError, output, run

# kube-proxy calls iptables: its commands, extensions, the libraries of all (`xt_statistic` needs libm, or
# Services do not work) and the links of a merged /usr.
_IPTABLES = r"""
set -eu
cd /
roots="$(ls -d usr/sbin/xtables-*multi usr/sbin/iptables* usr/sbin/ip6tables* usr/sbin/nft usr/sbin/conntrack \
  etc/alternatives/ip*tables* usr/lib/*/xtables etc/protocols etc/services lib lib64 bin sbin 2>/dev/null || true)"
libraries="$(ldd usr/sbin/xtables-*multi usr/sbin/nft usr/sbin/conntrack usr/lib/*/xtables/*.so \
  | awk '$2 == "=>" && $3 ~ /^\// {print $3} $1 ~ /^\/lib/ {print $1}' | sed 's#^/lib#/usr/lib#' | sort -u)"
for library in $libraries; do echo "$library"; readlink -f "$library"; done | sed 's#^/##' | sort -u > /tmp/files
# The four links of a merged /usr come alone; everything below them is reached through /usr.
printf '%s\n' $roots >> /tmp/files
exec tar --create --file=- --files-from=/tmp/files
"""


def references() -> list[str]:
    """Return the names and tags that kubeadm expects."""
    version = pins.load().command("kubeadm").module.version
    text = output([binaries.path("kubeadm"), "config", "images", "list", "--kubernetes-version", version])
    return text.split()


def pause_reference() -> str:
    """Return the image that every pod's sandbox is made of."""
    return next(reference for reference in references() if "/pause:" in reference)


def write(file: Path, *, base: str) -> None:
    """Write an archive of all system images; kube-proxy's iptables comes from the image `base`."""
    iptables = _iptables_layer(base)
    images = []
    for reference in references():
        name = reference.rsplit("/", 1)[1].split(":")[0]
        match name:
            case "pause":
                images.append(Image(reference, (archive.layer({"pause": _pause()}),), ("/pause",)))
            case "coredns":
                images.append(Image(reference, (archive.layer({"coredns": binaries.path(name)}),), ("/coredns",)))
            case "kube-proxy":
                binary = archive.layer({f"usr/local/bin/{name}": binaries.path(name)})
                images.append(Image(reference, (iptables, binary)))
            case "etcd" | "kube-apiserver" | "kube-controller-manager" | "kube-scheduler":
                images.append(Image(reference, (archive.layer({f"usr/local/bin/{name}": binaries.path(name)}),)))
            case _:
                raise LocalError(f"kubeadm wants the image {reference}, which nodeimages.py does not know how to make")
    archive.write(images, file)


def _iptables_layer(base: str) -> bytes:
    command = ["docker", "run", "--rm", "--network=none", "--entrypoint=/bin/sh", base, "-c", _IPTABLES]
    result = subprocess.run(command, capture_output=True, check=False)
    if result.returncode:
        raise LocalError(f"Collecting iptables from {base} failed: {result.stderr.decode(errors='replace')}")
    return result.stdout


def _pause() -> Path:
    source = paths.REPOSITORY / "hack" / "pause" / "main.go"
    file = paths.cache("bin", "pause")
    run(
        ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, source],
        log="build-pause",
        env={"CGO_ENABLED": "0"},
    )
    return file
