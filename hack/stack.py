"""The whole product in a local kind cluster: cluster, images, GPUs that are not there, the chart. For demo and e2e.

A machine without GPUs serves from the engine stand-in (`tests/standin`), which behaves like vLLM and makes up its
answers; everything else (operator, chart, router, Kubernetes) is the real thing.
"""

import base64
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localk8s import binaries, cluster, gpus, images, paths
from localk8s.console import output, run, step

IMAGES = ("operator", "standin", "router")
RELEASE = "gemma"
NAMESPACE = "gemma-system"
OPERATOR = "gemma-operator"
CHART = Path("charts", "gemma4-stack")
VALUES = Path("tests", "e2e", "values.yaml")
L4 = gpus.Gpus(product="NVIDIA-L4", memory_mib=23034, count=4, compute=(8, 9), driver="580.95.05", cuda="13.0")


def up(name: str, *, nodes: int = 1, routers: int = 1) -> None:
    """Bring the whole stack up in cluster `name`; what is up to date already is left alone.

    Of several nodes the first is a control plane without GPUs, and the others share the four.
    """
    cluster.up(name, nodes=nodes)
    tags = images.build(IMAGES)
    for tag in tags:
        # One by one: kind copies all of a call when one of them is new.
        cluster.load(name, [tag])
    advertise(name, L4)
    install(name, operator_image=tags[0], routers=routers)


def advertise(name: str, wanted: gpus.Gpus) -> None:
    """Make the only node, or the workers in equal parts, advertise GPUs."""
    workers = gpu_nodes(name)
    for node in workers:
        gpus.advertise(name, node=node, gpus=dataclasses.replace(wanted, count=wanted.count // len(workers)))


def gpu_nodes(name: str) -> list[str]:
    """The nodes that have GPUs: the workers, or the only node."""
    first, *workers = cluster.containers(name)
    return workers or [first]


def without_gpus() -> gpus.Gpus:
    """What a node says that has lost its GPUs."""
    return dataclasses.replace(L4, count=0)


def install(
    name: str,
    *,
    operator_image: str,
    routers: int,
    tree: Path = paths.REPOSITORY,
    values: Mapping[str, Any] | None = None,
) -> None:
    """Install or upgrade the chart of a checkout, with more values or none, and wait until the operator is ready.

    The image's identity goes into an annotation, so that a rebuilt image of the same tag is rolled out.
    """
    identity = output(["docker", "image", "inspect", "--format", "{{.Id}}", operator_image]).strip()
    with step(f"installing the chart into cluster {name}", seconds=15):
        run(
            [
                binaries.path("helm"),
                "upgrade",
                RELEASE,
                tree / CHART,
                "--install",
                "--kubeconfig",
                paths.kubeconfig(name),
                "--namespace",
                NAMESPACE,
                "--create-namespace",
                "--values",
                tree / VALUES,
                "--values",
                "-",
                "--set",
                f"image.tag={operator_image.partition(':')[2]}",
                "--set",
                f"config.router.replicas={routers}",
                "--set-string",
                f"podAnnotations.image={identity}",
            ],
            log=f"stack-{name}",
            stdin=json.dumps(values or {}).encode(),
        )
        cluster.kubectl(name, "rollout", "status", f"deployment/{OPERATOR}", "-n", NAMESPACE, "--timeout=180s")


def helm(name: str, *words: str, log: str) -> None:
    """Helm for the release in cluster `name`."""
    place: list[str | Path] = ["--kubeconfig", paths.kubeconfig(name), "--namespace", NAMESPACE]
    run([binaries.path("helm"), *words, *place], log=log)


def kubectl_command(name: str) -> list[str]:
    """The words of kubectl for cluster `name`, to be continued."""
    return [str(binaries.path("kubectl")), "--kubeconfig", str(paths.kubeconfig(name))]


def client_key(name: str, *, namespace: str, router: str = "gemma-router") -> str:
    """The client key `default` of a router."""
    secret = json.loads(cluster.kubectl(name, "get", "secret", f"{router}-keys", "-n", namespace, "-o", "json"))
    return base64.b64decode(secret["data"]["default"]).decode().strip()


def example(file: str) -> Path:
    """Path of an example."""
    return paths.REPOSITORY / "examples" / file
