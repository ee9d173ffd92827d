"""The Pod Security Standard *restricted* (which includes *baseline*), rule by rule as published on kubernetes.io.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

RESTRICTED_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    }
)
SELINUX_TYPES = frozenset({None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})


def violations(template: Object) -> list[str]:
    """Every rule of *restricted* that a pod template breaks; empty when it would be admitted."""
    return [*_pod(template), *(found for item in _containers(template["spec"]) for found in _container(item, template))]


def _containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]


def _pod(template: Object) -> Iterator[str]:
    spec = template["spec"]
    security = spec.get("securityContext", {})
    for namespace in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(namespace):
            yield f"{namespace} is set"
    for volume in spec.get("volumes", []):
        for kind in set(volume) - {"name"} - RESTRICTED_VOLUMES:
            yield f"volume {volume['name']} has type {kind}"
    for sysctl in security.get("sysctls", []):
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']} is not safe"
    annotations = template.get("metadata", {}).get("annotations", {})
    for name, profile in annotations.items():
        if name.startswith("container.apparmor.security.beta.kubernetes.io/") and not (
            profile == "runtime/default" or profile.startswith("localhost/")
        ):
            yield f"AppArmor profile {profile}"
    yield from _either_level("pod", security)


def _either_level(where: str, security: Object) -> Iterator[str]:
    selinux = security.get("seLinuxOptions", {})
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{where}: seLinuxOptions"
    if security.get("windowsOptions", {}).get("hostProcess"):
        yield f"{where}: hostProcess"
    if security.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in ("RuntimeDefault", "Localhost"):
        yield f"{where}: appArmorProfile"
    if security.get("runAsUser") == 0:
        yield f"{where}: runAsUser is 0"
    if security.get("runAsNonRoot") is False:
        yield f"{where}: runAsNonRoot is false"
    if security.get("seccompProfile", {}).get("type", "RuntimeDefault") not in ("RuntimeDefault", "Localhost"):
        yield f"{where}: seccompProfile"


def _container(container: Object, template: Object) -> Iterator[str]:
    name = container["name"]
    own, inherited = container.get("securityContext", {}), template["spec"].get("securityContext", {})
    yield from _either_level(name, own)
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if own.get("runAsNonRoot", inherited.get("runAsNonRoot")) is not True:
        yield f"{name}: runAsNonRoot is not true"
    if "seccompProfile" not in own and "seccompProfile" not in inherited:
        yield f"{name}: seccompProfile is unset"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name}: capabilities are not dropped"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities are added"
    for port in container.get("ports", []):
        if port.get("hostPort"):
            yield f"{name}: hostPort {port['hostPort']}"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        yield from _host(f"{name}: {probe}", container.get(probe, {}))
    for hook in ("postStart", "preStop"):
        yield from _host(f"{name}: {hook}", container.get("lifecycle", {}).get(hook, {}))


def _host(where: str, handler: Object) -> Iterator[str]:
    for action in ("httpGet", "tcpSocket"):
        if handler.get(action, {}).get("host"):
            yield f"{where}: host is set"
