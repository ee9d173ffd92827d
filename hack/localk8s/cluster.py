"""kind clusters: made, recovered after a restart of the host, deleted, and given images."""

import contextlib
import json
import time
from typing import Any

from localk8s import audit, binaries, engine, kindconfig, limits, network, nodeimage, paths, pins
from localk8s.console import CommandFailed, LocalError, lock, output, run, say, step, succeeds
from localk8s.kindconfig import Shape
from localk8s.processes import wait_until

READY_SECONDS = 240
RECOVER_SECONDS = 90


def up(name: str, *, nodes: int = 1) -> None:
    """Return when a cluster of that name is ready to use; a healthy one with that many nodes is left alone."""
    engine.ensure()
    binaries.build(c for c in pins.load().of_set("cluster") if c.name in ("kind", "kubectl"))
    limits.raise_inotify()
    with lock(f"cluster-{name}"):
        have = containers(name)
        if have:
            reason = f"it has {len(have)} nodes, not {nodes}" if len(have) != nodes else _recover(name)
            if reason is None:
                return
            say(f"==> replacing cluster {name}: {reason}")
            _delete(name)
        _create(name, nodes=nodes)


def down(name: str) -> None:
    """Delete a cluster with its kubeconfig and audit log; nothing happens where there is none."""
    with lock(f"cluster-{name}"):
        if engine.answers():
            _delete(name)


def load(name: str, images: list[str]) -> None:
    """Copy images of the engine to all nodes. What the nodes have already is not copied again."""
    if not containers(name):
        raise LocalError(f"There is no cluster {name}: `python3 hack/local cluster up --name {name}`")
    missing = [image for image in images if not engine.has_image(image)]
    if missing:
        raise LocalError(f"The engine has no image {', '.join(missing)}: build it with `python3 hack/local images`")
    with step(f"loading {', '.join(images)} into cluster {name}", seconds=6 * len(images)):
        run([binaries.path("kind"), "load", "docker-image", "--name", name, *images], log=f"cluster-{name}")


def kubectl(name: str, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl against a cluster and return its output."""
    return output([binaries.path("kubectl"), "--kubeconfig", paths.kubeconfig(name), *arguments], stdin=stdin)


def containers(name: str) -> list[str]:
    """Return the names of the node containers of a cluster, running or not; the control plane is first."""
    filters = ["--filter", f"label=io.x-k8s.kind.cluster={name}"]
    return sorted(output(["docker", "ps", "--all", *filters, "--format", "{{.Names}}"]).split())


def _recover(name: str) -> str | None:
    """Start what stands still and return None when the cluster is healthy again, or the reason why it is not."""
    have = containers(name)
    running = set(output(["docker", "ps", "--format", "{{.Names}}"]).split())
    stopped = [container for container in have if container not in running]
    try:
        if stopped:
            say(f"==> starting the stopped nodes of cluster {name}: {', '.join(stopped)}")
            output(["docker", "start", *stopped])
        _write_kubeconfig(name)
        deadline = time.monotonic() + (RECOVER_SECONDS if stopped else 20)
        own = _has_own_image(name)
        while not _is_healthy(name, nodes=len(have)):
            if time.monotonic() > deadline:
                return "its API server or its nodes are not ready"
            if own:
                with contextlib.suppress(CommandFailed):  # the API server may not answer yet
                    network.connect([node for node in _nodes(name) if network.has_subnets([node])])
            time.sleep(1)  # between two looks, until the deadline
        if stopped:
            if own:
                # A node that was away for less than a minute never looked unhealthy, and has lost its routes.
                network.connect(_nodes(name))
            _wait_for_dns(name)
    except CommandFailed as error:
        return str(error)
    return None


def _is_healthy(name: str, *, nodes: int) -> bool:
    config = str(paths.kubeconfig(name))
    if not succeeds(
        [binaries.path("kubectl"), "--kubeconfig", config, "--request-timeout=5s", "get", "--raw", "/readyz"]
    ):
        return False
    ready = [node for node in _nodes(name) if _is_ready(node)]
    return len(ready) == nodes


def _is_ready(node: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", ()))


def _nodes(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl(name, "get", "nodes", "-o", "json"))["items"]
    return found


def _has_subnets(name: str, *, nodes: int) -> bool:
    registered = _nodes(name)
    return len(registered) == nodes and network.has_subnets(registered)


def _wait_for_dns(name: str) -> None:
    status = ["rollout", "status", "deployment/coredns", f"--timeout={READY_SECONDS}s"]
    kubectl(name, "-n", "kube-system", *status)


def _has_own_image(name: str) -> bool:
    image = output(["docker", "inspect", "--format", "{{.Config.Image}}", containers(name)[0]])
    return image.startswith(nodeimage.REPOSITORY)


def _write_kubeconfig(name: str) -> None:
    text = output([binaries.path("kind"), "get", "kubeconfig", "--name", name])
    file = paths.kubeconfig(name)
    file.touch(mode=0o600)
    file.write_text(text)


def _create(name: str, *, nodes: int) -> None:
    wanted = _kind_image()
    own = not engine.can_pull(wanted)
    if own:
        say(f"    no registry answers for {wanted}: the node image is made here")
    image = nodeimage.ensure() if own else wanted
    policy = paths.cache("audit", "policy.yaml")
    policy.write_text(audit.policy())
    log = paths.audit_log(name)
    log.unlink(missing_ok=True)
    log.touch(mode=0o644)  # the API server writes as root and keeps the mode of a file that is there
    shape = Shape(
        name=name,
        nodes=nodes,
        audit_folder=log.parent,
        policy_file=policy,
        own_node_image=own,
        cgroup_v1=engine.is_cgroup_v1(),
        in_user_namespace=engine.lacks_sys_resource(),
    )
    paths.kubeconfig(name).unlink(missing_ok=True)
    config = paths.folder("clusters") / f"{name}.yaml"
    config.write_text(kindconfig.render(shape))
    with step(f"creating cluster {name} with {nodes} node{'s' * (nodes > 1)}", seconds=20 + 10 * nodes):
        arguments = ["--name", name, "--image", image, "--config", str(config)]
        run(
            [binaries.path("kind"), "create", "cluster", *arguments, "--kubeconfig", paths.kubeconfig(name)],
            log=f"cluster-{name}",
        )
        if own:
            wait_until(
                lambda: _has_subnets(name, nodes=nodes), what="a pod subnet for every node", seconds=READY_SECONDS
            )
            network.connect(_nodes(name))
        wait_until(lambda: _is_healthy(name, nodes=nodes), what="readiness of every node", seconds=READY_SECONDS)
        _wait_for_dns(name)


def _kind_image() -> str:
    """Return the node image that the pinned kind was released with (its own default)."""
    return str(pins.load().tables["cluster"]["node_image"])


def _delete(name: str) -> None:
    if containers(name):
        with step(f"deleting cluster {name}"):
            run(
                [binaries.path("kind"), "delete", "cluster", "--name", name],
                log=f"cluster-{name}",
                env=_own_config(name),
            )
    paths.kubeconfig(name).unlink(missing_ok=True)
    paths.audit_log(name).unlink(missing_ok=True)


def _own_config(name: str) -> dict[str, str]:
    """kind removes its entries from $KUBECONFIG: keep it away from the user's own file."""
    return {"KUBECONFIG": str(paths.kubeconfig(name))}
