"""go.mod files for building a pinned module from outside."""

import pytest
from localk8s import gomod
from localk8s.console import LocalError
from localk8s.pins import Command, Module

KUBERNETES = """module k8s.io/kubernetes

go 1.26.0

require (
	github.com/spf13/cobra v1.9.1
	k8s.io/api v0.0.0
	k8s.io/client-go v0.0.0
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/client-go => ./staging/src/k8s.io/client-go
)
"""
MODULE = Module(name="kubernetes", path="k8s.io/kubernetes", version="v1.36.3", staging="v0.36.3")


def test_replaced_folders_get_their_published_version() -> None:
    assert gomod.render(MODULE, KUBERNETES) == (
        "module local/build/kubernetes\n\n"
        "go 1.26.0\n\n"
        "require k8s.io/kubernetes v1.36.3\n\n"
        "replace (\n"
        "\tk8s.io/api => k8s.io/api v0.36.3\n"
        "\tk8s.io/client-go => k8s.io/client-go v0.36.3\n"
        ")\n"
    )


def test_a_single_line_replace_counts_and_a_versioned_one_does_not() -> None:
    text = "module m\n\nreplace a.org/x => ./x\n\nreplace b.org/y v1.0.0 => b.org/z v1.1.0\n"
    assert gomod.replaced_by_folders(text) == ["a.org/x"]


def test_own_folders_of_a_module_are_left_alone() -> None:
    text = "module github.com/c/d/v2\n\ngo 1.24\n\nreplace github.com/c/d/v2/api => ./api\n"
    module = Module(name="d", path="github.com/c/d/v2", version="v2.2.0")
    assert "replace" not in gomod.render(module, text)


def test_a_missing_staging_version_is_named() -> None:
    with pytest.raises(LocalError, match=r"module\.kubernetes needs a `staging` version.*k8s\.io/api and 1 more"):
        gomod.render(Module(name="kubernetes", path="k8s.io/kubernetes", version="v1.36.3"), KUBERNETES)


def test_a_stamp_changes_with_every_part_of_a_pin_and_only_then() -> None:
    def stamp(**changes: object) -> str:
        values: dict[str, object] = {
            "name": "m",
            "path": "m.org/m",
            "version": "v1",
            "tags": (),
            "ldflags": (),
            **changes,
        }
        package = str(values.pop("package", "m.org/m/cmd/c"))
        module = Module(**values)  # type: ignore[arg-type]
        return gomod.stamp(Command(name="c", module=module, package=package, sets=frozenset({"node"}), seconds=1))

    changed = [
        stamp(),
        stamp(version="v2"),
        stamp(tags=("x",)),
        stamp(ldflags=("-X a=b",)),
        stamp(staging="v0"),
        stamp(package="m.org/m/cmd/d"),
    ]
    assert len(set(changed)) == len(changed)
    assert stamp() == stamp(name="renamed")


@pytest.mark.parametrize(
    ("text", "version"),
    [("go version go1.26.8 linux/amd64\n", (1, 26, 8)), ("go version go1.27rc1 linux/arm64", (1, 27))],
)
def test_the_version_of_go_is_read(text: str, version: tuple[int, ...]) -> None:
    assert gomod.version_of(text) == version


def test_text_without_a_version_is_an_error() -> None:
    with pytest.raises(LocalError, match="names no version"):
        gomod.version_of("go: command not found")
