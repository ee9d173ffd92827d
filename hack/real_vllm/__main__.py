"""`python -m real_vllm install | model | serve FLAG… | image | record FOLDER [NAME…]` (with `hack` on PYTHONPATH)."""

import os
import sys

from real_vllm import record, serve, versions
from real_vllm.image import build_image
from real_vllm.install import CannotInstall, install
from real_vllm.tiny_model import write_tiny_model


def main(args: list[str]) -> int:
    """Do what the first argument says; 0, or 2 with the usage when it says nothing known."""
    match args:
        case ["install"]:
            print(install())
        case ["model"]:
            print(write_tiny_model(versions.MODEL))
        case ["serve", *flags]:
            install()
            write_tiny_model(versions.MODEL)
            command = serve.command(flags)
            os.execve(command[0], command, serve.environment())
        case ["image"]:
            print(build_image())
        case ["record", *rest]:
            record.main(rest)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotInstall as error:
        sys.exit(f"real vLLM: {error}")
