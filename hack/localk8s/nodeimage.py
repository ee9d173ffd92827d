"""A node image for kind where no registry has one: Debian, kind's own node files, the built binaries."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

from localk8s import binaries, engine, gomod, nodeimages, paths, pins
from localk8s.console import CommandFailed, LocalError, lock, need_root, output, run, step, succeeds
from localk8s.processes import Processes, wait_until

REPOSITORY = "local/kind-node"
_SETUP = r"""
find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete \
 && rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
      /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
      /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/* \
 && echo ReadKMsg=no >> /etc/systemd/journald.conf \
 && ln -sf /usr/lib/systemd/systemd /sbin/init \
 && systemctl enable kubelet.service containerd.service undo-mount-hacks.service \
 && systemctl mask systemd-binfmt.service \
 && mkdir -p /etc/kubernetes/manifests /etc/cni/net.d
"""
_BINARIES = {
    "usr/bin": ("kubelet", "kubeadm", "kubectl"),
    "usr/local/bin": ("containerd", "containerd-shim-runc-v2", "ctr", "crictl"),
    "opt/cni/bin": ("cni-loopback", "cni-ptp", "cni-host-local", "cni-portmap"),
}


def reference() -> str:
    """Return the tag of the node image that the pins and this recipe make."""
    digest = hashlib.sha256()
    for command in pins.load().of_set("node"):
        digest.update(gomod.stamp(command).encode())
    digest.update(json.dumps([pins.load().tables["node"], _kind().version]).encode())
    for module in ("nodeimage.py", "nodeimages.py", "archive.py", "../pause/main.go"):
        digest.update((Path(__file__).parent / module).read_bytes())
    return f"{REPOSITORY}:{pins.load().command('kubelet').module.version}-{digest.hexdigest()[:12]}"


def ensure() -> str:
    """Return the node image, built first if the engine does not hold it."""
    tag = reference()
    if not engine.has_image(tag):
        with lock("nodeimage"):
            if not engine.has_image(tag):
                _build(tag)
    return tag


def debian(packages: list[str], *, release: str) -> str:
    """Return an image of a minimal Debian with these packages, made with debootstrap unless the engine holds it."""
    mirror = pins.load().tables["node"]["mirror"]
    digest = hashlib.sha256(json.dumps([release, packages]).encode()).hexdigest()[:12]
    tag = f"local/debian:{release}-{digest}"
    if engine.has_image(tag):
        return tag
    need_root("Making a Debian image with debootstrap")
    engine.apt_install("debootstrap")
    with step(f"making a Debian {release} image of {len(packages)} packages", seconds=70), paths.scratch() as folder:
        root = folder / "root"
        include = ",".join(packages)
        run(["debootstrap", "--variant=minbase", f"--include={include}", release, root, mirror], log="debootstrap")
        for leftover in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / leftover, ignore_errors=True)
            (root / leftover / "partial").mkdir(parents=True)
        _import(root, tag)
    return tag


def _kind() -> pins.Module:
    return pins.load().command("kind").module


def _import(root: Path, tag: str) -> None:
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        result = subprocess.run(
            ["docker", "import", "-", tag], stdin=tar.stdout, capture_output=True, text=True, check=False
        )
    if result.returncode or tar.returncode:
        raise CommandFailed(f"`docker import` of {root} as {tag} failed: {result.stderr.strip()}")


def _build(tag: str) -> None:
    binaries.build(pins.load().of_set("node"))
    table = pins.load().tables["node"]
    base = debian(table["packages"], release=table["debian"])
    with step(f"building the node image {tag}", seconds=40), paths.scratch() as folder:
        root = folder / "root"
        _copy_kind_files(root)
        _copy_binaries(root)
        _adapt(root)
        _preload(root, folder, base=base)
        (folder / "Dockerfile").write_text(
            f"FROM {base}\nCOPY root/ /\nRUN {_SETUP.strip()}\nENV container=docker\nSTOPSIGNAL SIGRTMIN+3\n"
            'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]\n'
        )
        engine.build(folder, tag=tag, log="nodeimage")


def _copy_kind_files(root: Path) -> None:
    """Copy the node files of kind's module; modules are unpacked without write and execute bits."""
    source = binaries.module_folder(_kind()) / "images" / "base" / "files"
    if not source.exists():
        raise LocalError(
            f"kind {_kind().version} has no node files in {source}: look where they went, and set the path"
        )
    shutil.copytree(source, root)
    for path in [root, *root.rglob("*")]:
        is_program = path.parent.name == "bin"
        path.chmod(0o755 if path.is_dir() or is_program else 0o644)
    (root / "kind" / "version").write_text(pins.load().command("kubelet").module.version)


def _copy_binaries(root: Path) -> None:
    for folder, names in _BINARIES.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            target = root / folder / name.removeprefix("cni-")
            shutil.copyfile(binaries.path(name), target)
            target.chmod(0o755)


def _adapt(root: Path) -> None:
    """Make kind's files work where limits cannot be raised: without CAP_SYS_RESOURCE systemd would not start units."""
    unit = root / "etc/systemd/system/containerd.service"
    unit.write_text(re.sub(r"(?m)^(Limit(NPROC|CORE|NOFILE)|OOMScoreAdjust)=.*\n", "", unit.read_text()))
    config = root / "etc/containerd/config.toml"
    text = config.read_text().replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    text = re.sub(r'sandbox_image = ".*"', f'sandbox_image = "{nodeimages.pause_reference()}"', text)
    config.write_text(text)
    spec = json.loads(output([binaries.path("ctr"), "oci", "spec"]))
    spec.setdefault("hooks", {}).setdefault("createContainer", []).append({"path": "/kind/bin/mount-product-files.sh"})
    spec["process"].pop("rlimits", None)
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(spec, indent=1))


def _preload(root: Path, folder: Path, *, base: str) -> None:
    """Fill the node's image store, with a containerd on this host whose data folder becomes the node's."""
    archive = folder / "images.tar"
    nodeimages.write(archive, base=base)
    state, data = folder / "run", root / "var/lib/containerd"
    state.mkdir()
    data.mkdir(parents=True)
    socket = state / "containerd.sock"
    config = folder / "containerd.toml"
    config.write_text(
        f'version = 3\nroot = "{data}"\nstate = "{state}"\ndisabled_plugins = ["io.containerd.cri.v1.images", '
        f'"io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]\n'
        f'[grpc]\naddress = "{socket}"\n'
    )
    processes = Processes(state)
    processes.start("containerd", [binaries.path("containerd"), "--config", config])
    ctr: list[str | Path] = [binaries.path("ctr"), "--address", socket, "--namespace", "k8s.io"]
    try:
        wait_until(lambda: succeeds([*ctr, "version"]), what="an answer of containerd", seconds=30)
        run([*ctr, "images", "import", "--no-unpack", "--local", "--digests", archive], log="nodeimage")
    except LocalError as error:
        raise LocalError(f"{error}\n{processes.tail('containerd')}") from error
    finally:
        processes.stop("containerd")
    archive.unlink()
