"""A container engine that answers: the one that is there, or Debian's, installed and started."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from localk8s import paths, runcwrap
from localk8s.console import CommandFailed, LocalError, lock, need_root, output, run, step, succeeds
from localk8s.processes import Processes, wait_until

CAP_SYS_RESOURCE = 24
START_SECONDS = 60
PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}


def ensure() -> None:
    """Return when `docker` answers. Installs and starts it as root where none does; LocalError says what is missing."""
    if answers():
        return
    with lock("engine"):
        if answers():
            return
        need_root("No container engine answers (`docker info`), and installing one")
        if not _dockerd():
            _install()
        if not answers():
            _start()


def answers() -> bool:
    """Return whether the engine answers."""
    return shutil.which("docker") is not None and succeeds(["docker", "info", "--format", "{{.ID}}"], timeout=30)


def can_pull(image: str) -> bool:
    """Return whether a registry answers for this image; it is quick both ways, and pulls nothing."""
    if has_image(image):
        return True
    return succeeds(["docker", "manifest", "inspect", image], timeout=20)


def has_image(image: str) -> bool:
    """Return whether the engine holds this image."""
    return succeeds(["docker", "image", "inspect", "--format", "{{.Id}}", image], timeout=30)


def label(image: str, name: str) -> str | None:
    """Return a label of an image, None where the image or the label is missing."""
    try:
        found = output(["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{name}"}}}}', image])
    except CommandFailed:
        return None
    return found.strip() or None


def build(context: Path, *, tag: str, log: str, labels: Mapping[str, str] | None = None) -> None:
    """Build the Dockerfile of a folder. Without buildx (Debian has none) the engine's own builder does it."""
    environment = {} if succeeds(["docker", "buildx", "version"]) else {"DOCKER_BUILDKIT": "0"}
    arguments = [f"--label={name}={value}" for name, value in (labels or {}).items()]
    run(["docker", "build", "--network=none", "--tag", tag, *arguments, context], log=log, env=environment)
    for name in labels or {}:  # what had the tag before is of no more use
        succeeds(["docker", "image", "prune", "--force", "--filter", f"label={name}"])


def lacks_sys_resource() -> bool:
    """Return whether this host can give no container CAP_SYS_RESOURCE."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return not int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1
    return False


def is_cgroup_v1() -> bool:
    """Return whether this host has the first version of cgroups, which the kubelet refuses unless told not to."""
    return not Path("/sys/fs/cgroup/cgroup.controllers").exists()


def apt_install(*packages: str) -> None:
    """Install Debian packages that are missing. Raises LocalError on other systems or without root."""
    missing = [package for package in packages if not _is_installed(package)]
    if not missing:
        return
    names = " ".join(missing)
    if not shutil.which("apt-get"):
        raise LocalError(f"This system has no apt-get: install {names} with its own package manager.")
    need_root(f"Installing {names}")
    with lock("apt"), step(f"installing {names} from Debian's packages", seconds=40):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update"], log="apt", env=quiet)
        run(["apt-get", "install", "-y", "--no-install-recommends", *missing], log="apt", env=quiet)


def _is_installed(package: str) -> bool:
    try:
        status = output(["dpkg-query", "--show", "--showformat=${db:Status-Status}", package])
    except CommandFailed:
        return False
    return status == "installed"


def _dockerd() -> str | None:
    return shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")


def _install() -> None:
    apt_install("docker.io", "iptables", "ca-certificates")
    if not shutil.which("docker"):  # from trixie on the client is a package of its own
        apt_install("docker-cli")


def _start() -> None:
    folder = paths.folder("engine")
    processes = Processes(folder)
    dockerd = _dockerd()
    if dockerd is None:
        raise LocalError("docker.io is installed, but dockerd is not on PATH nor in /usr/sbin.")
    command = [dockerd]
    if lacks_sys_resource():
        command += ["--add-runtime", f"wrapped={write_wrapper(folder)}", "--default-runtime", "wrapped"]
    with step("starting the container engine", seconds=5):
        processes.stop("dockerd")
        for file, name in PID_FILES.items():
            remove_stale(file, name)
        processes.start("dockerd", command)
        try:
            wait_until(
                lambda: answers() or not processes.is_running("dockerd"), what="an answer", seconds=START_SECONDS
            )
        except LocalError as error:
            raise LocalError(_engine_failure(processes)) from error
        if not answers():
            raise LocalError(_engine_failure(processes))


def remove_stale(file: Path, name: str) -> None:
    """Remove a pid file unless its process runs under that name.

    After both were killed dockerd takes any process of that number for the one that it wrote the file for, and
    refuses to start or waits for its containerd in vain.
    """
    try:
        command = Path(f"/proc/{int(file.read_text())}/comm").read_text().strip()
    except (OSError, ValueError):
        command = ""
    if command != name:
        file.unlink(missing_ok=True)


def _engine_failure(processes: Processes) -> str:
    return f"dockerd did not start; {processes.log('dockerd')} ends with:\n{processes.tail('dockerd')}"


def write_wrapper(folder: Path) -> Path:
    """Put the wrapper beside the engine's log, so that the engine works on when this clone moves or goes."""
    script = folder / "runcwrap.py"
    script.write_text(Path(runcwrap.__file__).read_text(encoding="utf-8"))
    wrapper = folder / "runc-wrapped"
    # Not a virtual environment's, which lies in the clone and only links to this one.
    python = Path(sys.executable).resolve()
    wrapper.write_text(f'#!/bin/sh\nexec "{python}" -I -S "{script}" "$@"\n')
    wrapper.chmod(0o755)
    return wrapper
