"""versions.toml is read whole, and a mistake in it is named."""

import pytest
from localk8s import pins
from localk8s.console import LocalError

TEXT = """
[go]
minimum = "1.26"
[module.tool]
path = "example.org/tool"
version = "v1.2.3"
tags = ["small"]
[module.tool.commands]
tool = { package = "example.org/tool/cmd/tool", for = ["cluster"], seconds = 5 }
helper = { package = "example.org/tool/cmd/helper", for = ["cluster", "node"] }
"""


def test_commands_know_their_module_and_file() -> None:
    read = pins.parse(TEXT)
    assert read.go_minimum == (1, 26)
    assert [command.name for command in read.commands] == ["tool", "helper"]
    tool = read.command("tool")
    assert (tool.file_name, tool.seconds, tool.module.tags) == ("tool-v1.2.3", 5, ("small",))


def test_sets_keep_the_build_order() -> None:
    read = pins.parse(TEXT)
    assert [command.name for command in read.of_set("node")] == ["helper"]
    assert [command.name for command in read.of_set("all")] == ["tool", "helper"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('version = "v1.2.3"', ""), "module.tool.version is missing"),
        (('minimum = "1.26"', ""), "minimum is missing"),
        (("example.org/tool/cmd/helper", "example.com/other"), "module.tool.commands.helper: example.com/other"),
        (("[go]", "[go"), "versions.toml"),
    ],
)
def test_a_mistake_is_named(change: tuple[str, str], message: str) -> None:
    with pytest.raises(LocalError, match=message.replace(".", r"\.")):
        pins.parse(TEXT.replace(*change))


def test_a_command_that_stands_there_twice_is_named() -> None:
    second = TEXT.split("[module.tool]")[1].replace("[module.tool", "[module.other").replace("tool =", "helper =", 1)
    with pytest.raises(LocalError, match="twice: helper"):
        pins.parse(TEXT + "[module.other]" + second.replace('helper = { package = "example.org/tool/cmd/helper"', "#"))


def test_a_module_is_found_with_its_commands_or_without() -> None:
    text = TEXT + '[module.data]\npath = "example.org/data"\nversion = "v2.0.0"\ncommands = {}\n'
    read = pins.parse(text)
    assert (read.module("data").path, read.module("data").version) == ("example.org/data", "v2.0.0")
    assert read.module("tool") == read.command("tool").module
    with pytest.raises(LocalError, match="tool, data"):
        read.module("nonsense")


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    read = pins.parse(TEXT)
    with pytest.raises(LocalError, match="tool, helper"):
        read.command("nonsense")
    with pytest.raises(LocalError, match="all, cluster, node"):
        read.of_set("nonsense")


def test_the_repository_pins_all_that_its_parts_use() -> None:
    read = pins.load()
    names = {command.name for command in read.of_set("controlplane")}
    assert {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
        "kubeadm",
        "kwok",
    } <= names
    assert {"kind", "kubectl", "helm"} <= {command.name for command in read.of_set("cluster")}
    assert {"helm", "helm3", "promtool"} <= {command.name for command in read.of_set("charts")}
    assert {"kubelet", "containerd", "cni-ptp", "coredns"} <= {command.name for command in read.of_set("node")}
