"""`hack/local`: the commands of the local Kubernetes."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from localk8s import binaries, cluster, engine, gpus, images, paths, pins
from localk8s.console import LocalError, say
from localk8s.controlplane import ControlPlane


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = argparse.ArgumentParser(prog="hack/local", description="Local Kubernetes for demo, tests and benchmarks.")
    commands = root.add_subparsers(dest="command", required=True)

    one = commands.add_parser("binaries", help="build the pinned Go binaries into the cache")
    one.add_argument("--for", dest="set", default="all", help="controlplane, cluster, charts, node or all (default)")
    one.set_defaults(run=_binaries)

    one = commands.add_parser("path", help="print the path of a built command, e.g. kubectl; builds it if needed")
    one.add_argument("name")
    one.set_defaults(run=_path)

    one = commands.add_parser("engine", help="make sure that a container engine answers")
    one.set_defaults(run=_engine)

    one = commands.add_parser("cluster", help="a kind cluster with an audit log")
    one.add_argument("action", choices=["up", "down", "kubeconfig"])
    one.add_argument("--name", required=True)
    one.add_argument("--nodes", type=int, default=1)
    one.set_defaults(run=_cluster)

    one = commands.add_parser("images", help="build our images: base, operator, standin, router")
    one.add_argument("names", nargs="*", default=["operator", "standin", "router"], metavar="NAME")
    one.add_argument("--base", help="Python base image (default: python:3.13-slim if it can be pulled, else made here)")
    one.set_defaults(run=_images)

    one = commands.add_parser("load", help="copy images to the nodes of a kind cluster")
    one.add_argument("--name", required=True)
    one.add_argument("images", nargs="+", metavar="IMAGE")
    one.set_defaults(run=_load)

    one = commands.add_parser("gpus", help="make a node of a kind cluster advertise GPUs")
    one.add_argument("--name", required=True)
    one.add_argument("--node", help="default: the cluster's only or first node")
    one.add_argument("--product", default="NVIDIA-L4")
    one.add_argument("--memory", type=int, default=23034, help="MiB per GPU, as the driver reports it")
    one.add_argument("--count", type=int, default=4, help="0 takes them away")
    one.add_argument("--compute", default="8.9", help="compute capability")
    one.add_argument("--driver", default="580.95.05")
    one.add_argument("--cuda", default="13.0")
    one.set_defaults(run=_gpus)

    one = commands.add_parser("controlplane", help="etcd and Kubernetes as processes, with kwok nodes")
    one.add_argument("action", choices=["up", "down", "kubeconfig"])
    one.add_argument("--name", required=True)
    one.add_argument("--dir", type=Path, help="folder of its data (default: below the cache)")
    one.set_defaults(run=_controlplane)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it is done, 1 after an error that is printed."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except LocalError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    return 0


def _binaries(options: argparse.Namespace) -> None:
    for file in binaries.build(pins.load().of_set(options.set)):
        print(file)


def _path(options: argparse.Namespace) -> None:
    print(binaries.path(options.name))


def _engine(options: argparse.Namespace) -> None:
    engine.ensure()


def _cluster(options: argparse.Namespace) -> None:
    match options.action:
        case "up":
            cluster.up(options.name, nodes=options.nodes)
            print(paths.kubeconfig(options.name))
        case "down":
            cluster.down(options.name)
        case "kubeconfig":
            print(paths.kubeconfig(options.name))


def _images(options: argparse.Namespace) -> None:
    for tag in images.build(options.names, base=options.base):
        print(tag)


def _load(options: argparse.Namespace) -> None:
    cluster.load(options.name, options.images)


def _gpus(options: argparse.Namespace) -> None:
    wanted = gpus.Gpus(
        product=options.product,
        memory_mib=options.memory,
        count=options.count,
        compute=gpus.version(options.compute),
        driver=options.driver,
        cuda=options.cuda,
    )
    gpus.advertise(options.name, node=options.node or cluster.containers(options.name)[0], gpus=wanted)


def _controlplane(options: argparse.Namespace) -> None:
    plane = ControlPlane(options.name, directory=options.dir)
    match options.action:
        case "up":
            plane.start()
            print(plane.kubeconfig)
        case "down":
            plane.stop()
        case "kubeconfig":
            print(plane.kubeconfig)


if __name__ == "__main__":
    sys.exit(main())
