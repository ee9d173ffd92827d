"""etcd, kube-apiserver, controller-manager, scheduler and kwok as processes of this host, without an engine."""

import json
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from localk8s import audit, binaries, components, paths, pins, pki
from localk8s.components import Ports
from localk8s.console import LocalError, lock, say, step, succeeds
from localk8s.processes import Processes, free_ports

START_SECONDS = 240
ORDER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


class ControlPlane:
    """One control plane on loopback ports, with faked nodes (kwok) for each node annotated `kwok.x-k8s.io/node=fake`.

    Its processes outlive this one; `stop` ends them. Use it as a context manager, or call `start` and `stop`.
    """

    def __init__(self, name: str, *, directory: Path | None = None) -> None:
        self.name = name
        self.directory = (directory or paths.folder("controlplane", name)).resolve()
        self._processes = Processes(self.directory)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of a user of system:masters; mode 0600."""
        return self.directory / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Audit log: one JSON object per line for each answered request, but for the reads of Kubernetes itself."""
        return self.directory / "audit.log"

    @property
    def ca(self) -> Path:
        """Certificate that the API server's is signed by."""
        return self._pki().certificate("ca")

    @property
    def url(self) -> str:
        """Address of the API server. Raises LocalError before the first start."""
        return f"https://127.0.0.1:{self._ports().apiserver}"

    def is_running(self) -> bool:
        """Return whether every process lives and the API server says that it is ready."""
        return all(self._processes.is_running(name) for name in ORDER) and self._answers(
            f"{self.url}/readyz", verified=True
        )

    def start(self) -> None:
        """Start whatever does not run, and return when pods can be created and scheduled.

        Builds the binaries first where they are missing. After a crash the data of the last start is used again.
        """
        with lock(f"controlplane-{self.name}"):
            if self._ports_file.exists() and self.is_running():
                return
            binaries.build(pins.load().of_set("controlplane"))
            self._stop_processes()
            with step(f"starting control plane {self.name} in {self.directory}"):
                self._prepare()
                for name in ORDER:
                    self._start(name)
                self._wait("the default ServiceAccount", self._has_default_service_account)

    def stop(self) -> None:
        """End all processes and remove the data; logs and audit log are kept until the next start."""
        with lock(f"controlplane-{self.name}"):
            self._stop_processes()
            self._remove("etcd", "pki", "*.json", "*.conf", "kubeconfig")

    def restart_apiserver(self) -> None:
        """End the API server and start it again on the same port and data; returns when it is ready."""
        # With open watches it would take a minute to end by itself.
        self._processes.stop("kube-apiserver", grace=2)
        self._start("kube-apiserver")

    def log(self, name: str) -> Path:
        """Return the log of one process, e.g. `kube-scheduler`."""
        return self._processes.log(name)

    @property
    def _ports_file(self) -> Path:
        return self.directory / "ports.json"

    def _ports(self) -> Ports:
        if not self._ports_file.exists():
            raise LocalError(
                f"Control plane {self.name} does not run: `python3 hack/local controlplane up --name {self.name}`"
            )
        return Ports(**json.loads(self._ports_file.read_text()))

    def _pki(self) -> pki.Pki:
        return pki.Pki(self.directory)

    def _prepare(self) -> None:
        """Make what the processes read: ports, certificates, policy, kubeconfig. Existing ones stay."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self._ports_file.exists():
            self._remove("etcd", "pki", "*.conf", "logs", "audit*.log")
            self._ports_file.write_text(json.dumps(dict(zip(Ports.FIELDS, free_ports(len(Ports.FIELDS)), strict=True))))
        version = pins.load().command("kube-apiserver").module.version
        made = pki.make(self.directory, version=version, port=self._ports().apiserver)
        (self.directory / "audit-policy.yaml").write_text(audit.policy())
        self.audit_log.touch()
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_bytes(made.kubeconfig("super-admin").read_bytes())

    def _start(self, name: str) -> None:
        ports = self._ports()
        self._processes.start(name, components.command(name, directory=self.directory, ports=ports))
        if name == "etcd":
            return  # the API server waits for it
        address = components.health(name, ports)
        self._wait(name, lambda: self._answers(address, verified=name == "kube-apiserver"), process=name)

    def _wait(self, what: str, condition: Callable[[], bool], *, process: str | None = None) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            for name in ("etcd", process) if process else ORDER:
                if not self._processes.is_running(str(name)):
                    raise LocalError(
                        f"{name} ended. Its log ({self.log(str(name))}) says:\n{self._processes.tail(str(name))}"
                    )
            if time.monotonic() > deadline:
                tail = self._processes.tail(process) if process else ""
                raise LocalError(
                    f"{what} was not ready after {START_SECONDS} s; logs: {self.directory / 'logs'}\n{tail}"
                )
            time.sleep(0.1)  # between two looks, until the deadline

    def _answers(self, address: str, *, verified: bool) -> bool:
        # Unverified are health ports of processes that we started: they sign their own certificates.
        context = ssl.create_default_context(cafile=str(self.ca)) if verified else ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(address, timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False

    def _has_default_service_account(self) -> bool:
        return succeeds(
            [
                binaries.path("kubectl"),
                "--kubeconfig",
                self.kubeconfig,
                "-n",
                "default",
                "get",
                "serviceaccount",
                "default",
            ]
        )

    def _remove(self, *patterns: str) -> None:
        for pattern in patterns:
            for path in self.directory.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _stop_processes(self) -> None:
        for name in reversed(ORDER):
            if self._processes.is_running(name):
                say(f"    stopping {name} of control plane {self.name}")
            self._processes.stop(name)
