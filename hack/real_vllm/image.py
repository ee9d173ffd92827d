"""Image local/vllm-cpu: the installed engine on a Debian base with Python 3.11, without a network while building."""

import shutil
import subprocess
import sys
from pathlib import Path

from real_vllm import versions
from real_vllm.install import CannotInstall, install

LIBNUMA = Path("/usr/lib/x86_64-linux-gnu/libnuma.so.1")
LAUNCHER = """#!/usr/bin/python3
import sys

from vllm.entrypoints.cli.main import main

if __name__ == "__main__":  # the engine's processes are spawned and import this file again
    sys.exit(main())
"""
DOCKERFILE = f"""FROM {versions.BASE_IMAGE}
COPY libnuma.so.1 {LIBNUMA}
COPY vllm /usr/local/bin/vllm
COPY site /usr/local/lib/python3.11/dist-packages
ENV PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["vllm", "serve"]
"""


def build_image() -> str:
    """Build the image if it is not there and return its tag.

    Raises CannotInstall when docker does not answer, the base image is missing, or Python is not the base's.
    """
    if not _docker_has(versions.IMAGE):
        if sys.version_info[:2] != (3, 11):
            raise CannotInstall("the image's base has Python 3.11: run this with Python 3.11")
        if not _docker_has(versions.BASE_IMAGE):
            raise CannotInstall(f"image {versions.BASE_IMAGE} is missing: run hack/local images first")
        install()
        context = _context(versions.CACHE / "image")
        print(f"docker build {versions.IMAGE} (1.9 GB)", flush=True)
        done = subprocess.run(["docker", "build", "--quiet", "-t", versions.IMAGE, str(context)], check=False)
        if done.returncode != 0:
            raise CannotInstall("docker build failed: see above")
    return versions.IMAGE


def _docker_has(image: str) -> bool:
    if shutil.which("docker") is None:
        raise CannotInstall("docker is missing: run hack/local engine")
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _context(folder: Path) -> Path:
    """Lay out the build context: hard links to the installed files, and bytecode made for a read-only root."""
    shutil.rmtree(folder, ignore_errors=True)
    left_out = shutil.ignore_patterns("__pycache__", "pip", "pip-*")
    shutil.copytree(versions.SITE, folder / "site", copy_function=_link, ignore=left_out)
    print("compile bytecode: a container with a read-only root could never keep it", flush=True)
    compile_all = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder / "site")]
    # Some packages ship files for other Python versions, which do not compile; they are not imported either.
    subprocess.run([str(versions.PYTHON), *compile_all], check=False, stderr=subprocess.DEVNULL)
    shutil.copy(LIBNUMA, folder / "libnuma.so.1")
    (folder / "vllm").write_text(LAUNCHER)
    (folder / "vllm").chmod(0o755)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


def _link(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target
