"""Certificates and kubeconfigs of a control plane on the host, made by kubeadm."""

import json
from dataclasses import dataclass
from pathlib import Path

from localk8s import binaries
from localk8s.console import run


@dataclass(frozen=True, slots=True)
class Pki:
    """The folder that kubeadm fills."""

    folder: Path

    def certificate(self, name: str) -> Path:
        """Return `<name>.crt` of the folder, e.g. `apiserver` or `etcd/server`."""
        return self.folder / "pki" / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Return `<name>.key`."""
        return self.folder / "pki" / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        """Return the kubeconfig of `super-admin` (system:masters), `controller-manager` or `scheduler`."""
        return self.folder / f"{name}.conf"


def kubeadm_config(*, folder: Path, version: str, port: int) -> str:
    """Return a configuration for certificates that hold on 127.0.0.1. JSON is YAML.

    kubeadm turns a loopback advertise address into the one of the default route, hence the documentation
    address (RFC 5737); nothing ever listens or connects there.
    """
    documents = [
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": "198.51.100.1", "bindPort": port},
            "nodeRegistration": {"name": "control-plane", "criSocket": "unix:///dev/null"},
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": version,
            "certificatesDir": str(folder / "pki"),
            "controlPlaneEndpoint": f"127.0.0.1:{port}",
            "encryptionAlgorithm": "ECDSA-P256",
            "apiServer": {"certSANs": ["127.0.0.1", "localhost"]},
            "etcd": {"local": {"serverCertSANs": ["127.0.0.1"]}},
        },
    ]
    return "\n---\n".join(json.dumps(document, indent=1) for document in documents)


def make(folder: Path, *, version: str, port: int) -> Pki:
    """Make all certificates and kubeconfigs for an API server on 127.0.0.1:`port`; existing ones are kept."""
    pki = Pki(folder)
    if pki.kubeconfig("scheduler").exists():
        return pki
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "kubeadm.yaml"
    config.write_text(kubeadm_config(folder=folder, version=version, port=port))
    kubeadm = binaries.path("kubeadm")
    phases = [["certs", "all"]]
    phases += [["kubeconfig", name] for name in ("super-admin", "controller-manager", "scheduler")]
    for phase in phases:
        where = ["--kubeconfig-dir", str(folder)] if phase[0] == "kubeconfig" else []
        run([kubeadm, "init", "phase", *phase, "--config", config, *where], log="controlplane-certificates")
    for name in ("controller-manager", "scheduler"):
        # These two address the advertised endpoint, see kubeadm_config.
        file = pki.kubeconfig(name)
        file.write_text(file.read_text().replace(f"https://198.51.100.1:{port}", f"https://127.0.0.1:{port}"))
    return pki
