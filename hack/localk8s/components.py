"""Command lines of the control plane's processes; pure but for the paths of the binaries."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from localk8s import binaries, kwok
from localk8s.console import LocalError
from localk8s.pki import Pki

SERVICE_RANGE = "10.96.0.0/16"
CLIENT_QPS = 500
CLIENT_BURST = 1000


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of one control plane."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kwok: int

    FIELDS: ClassVar[tuple[str, ...]] = ("etcd", "etcd_peer", "apiserver", "controller_manager", "scheduler", "kwok")


def health(name: str, ports: Ports) -> str:
    """Return the address that answers 200 when a process is ready."""
    match name:
        case "kube-apiserver":
            return f"https://127.0.0.1:{ports.apiserver}/readyz"
        case "kube-controller-manager":
            return f"https://127.0.0.1:{ports.controller_manager}/healthz"
        case "kube-scheduler":
            return f"https://127.0.0.1:{ports.scheduler}/healthz"
        case "kwok":
            return f"http://127.0.0.1:{ports.kwok}/healthz"
    raise LocalError(f"{name} has no health address")


def command(name: str, *, directory: Path, ports: Ports) -> list[str]:
    """Return the command line of a process; its files lie in `directory`."""
    pki = Pki(directory)
    match name:
        case "etcd":
            flags = _etcd(directory, pki, ports)
        case "kube-apiserver":
            flags = _apiserver(directory, pki, ports)
        case "kube-controller-manager":
            flags = _controller_manager(pki, ports)
        case "kube-scheduler":
            flags = _scheduler(directory, pki, ports)
        case "kwok":
            flags = _kwok(directory, ports)
        case _:
            raise LocalError(f"{name} is no process of a control plane")
    return [str(binaries.path(name)), *(f"--{flag}={value}" for flag, value in flags.items())]


def _etcd(directory: Path, pki: Pki, ports: Ports) -> dict[str, object]:
    client, peer = f"https://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    return {
        "name": "default",
        "data-dir": directory / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "cert-file": pki.certificate("etcd/server"),
        "key-file": pki.key("etcd/server"),
        "client-cert-auth": "true",
        "trusted-ca-file": pki.certificate("etcd/ca"),
        # The data need not survive a power cut, and fsync would dominate every measurement.
        "unsafe-no-fsync": "true",
        "quota-backend-bytes": 4 * 1024**3,
        "log-level": "warn",
    }


def _apiserver(directory: Path, pki: Pki, ports: Ports) -> dict[str, object]:
    return {
        "bind-address": "127.0.0.1",
        "secure-port": ports.apiserver,
        # No pod connects to this server, so that no address of the host goes into the `kubernetes` Service.
        "advertise-address": "198.51.100.1",
        "endpoint-reconciler-type": "none",
        "etcd-servers": f"https://127.0.0.1:{ports.etcd}",
        "etcd-cafile": pki.certificate("etcd/ca"),
        "etcd-certfile": pki.certificate("apiserver-etcd-client"),
        "etcd-keyfile": pki.key("apiserver-etcd-client"),
        "client-ca-file": pki.certificate("ca"),
        "tls-cert-file": pki.certificate("apiserver"),
        "tls-private-key-file": pki.key("apiserver"),
        "service-cluster-ip-range": SERVICE_RANGE,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": directory / "pki" / "sa.pub",
        "service-account-signing-key-file": pki.key("sa"),
        "requestheader-client-ca-file": pki.certificate("front-proxy-ca"),
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": pki.certificate("front-proxy-client"),
        "proxy-client-key-file": pki.key("front-proxy-client"),
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction,ResourceQuota,PodSecurity",
        "allow-privileged": "true",
        "audit-policy-file": directory / "audit-policy.yaml",
        "audit-log-path": directory / "audit.log",
        "audit-log-maxsize": 2048,
        "profiling": "false",
    }


def _controller_manager(pki: Pki, ports: Ports) -> dict[str, object]:
    kubeconfig = pki.kubeconfig("controller-manager")
    return {
        "bind-address": "127.0.0.1",
        "secure-port": ports.controller_manager,
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "root-ca-file": pki.certificate("ca"),
        "client-ca-file": pki.certificate("ca"),
        "requestheader-client-ca-file": pki.certificate("front-proxy-ca"),
        "cluster-signing-cert-file": pki.certificate("ca"),
        "cluster-signing-key-file": pki.key("ca"),
        "service-account-private-key-file": pki.key("sa"),
        "use-service-account-credentials": "true",
        "leader-elect": "false",
        "kube-api-qps": CLIENT_QPS,
        "kube-api-burst": CLIENT_BURST,
    }


def _scheduler(directory: Path, pki: Pki, ports: Ports) -> dict[str, object]:
    kubeconfig = pki.kubeconfig("scheduler")
    config = directory / "scheduler.yaml"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "kubescheduler.config.k8s.io/v1",
                "kind": "KubeSchedulerConfiguration",
                "clientConnection": {"kubeconfig": str(kubeconfig), "qps": CLIENT_QPS, "burst": CLIENT_BURST},
                "leaderElection": {"leaderElect": False},
            }
        )
    )
    return {
        "config": config,
        "bind-address": "127.0.0.1",
        "secure-port": ports.scheduler,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
    }


def _kwok(directory: Path, ports: Ports) -> dict[str, object]:
    return {
        "kubeconfig": directory / "kubeconfig",
        "config": kwok.stages(),
        "manage-all-nodes": "false",
        "manage-nodes-with-annotation-selector": kwok.SELECTOR,
        "node-lease-duration-seconds": 40,
        "server-address": f"127.0.0.1:{ports.kwok}",
        "cidr": "10.244.0.0/16",
    }
