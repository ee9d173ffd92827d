"""What decides whether an image is built again, and what it is built from."""

from pathlib import Path

import pytest
from localk8s import images
from localk8s.console import LocalError

BASE = images.Base(reference="base:1", identity="sha256:1", version="3.13.2", packages="/usr/lib/python/site-packages")


def test_every_image_of_the_repository_has_its_inputs() -> None:
    recipes = images.recipes(images.TABLE.read_text(encoding="utf-8"))
    assert {"operator", "standin", "router"} <= recipes.keys()
    for recipe in recipes.values():
        assert recipe.requirements.is_file(), recipe.name
        assert all(part.exists() for part in recipe.inputs), recipe.name
        assert recipe.entrypoint[0] in recipe.scripts, recipe.name


def test_a_missing_field_is_named() -> None:
    with pytest.raises(LocalError, match="router has no entrypoint, requirements"):
        images.recipes('[router]\ntag = "local/x:1"')


def test_the_digest_follows_names_and_contents_and_nothing_that_building_leaves_behind(tmp_path: Path) -> None:
    source = tmp_path / "package"
    source.mkdir()
    (source / "a.py").write_text("1")
    first = images.digest_of([source])
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "a.pyc").write_text("compiled")
    assert images.digest_of([source]) == first
    (source / "a.py").write_text("2")
    changed = images.digest_of([source])
    (source / "a.py").rename(source / "b.py")
    assert len({first, changed, images.digest_of([source])}) == 3


def test_an_image_runs_as_a_numeric_user_from_layers_that_change_last() -> None:
    recipe = images.recipes(images.TABLE.read_text(encoding="utf-8"))["operator"]
    text = images.dockerfile(recipe, packages_image="local/packages:1", base=BASE, modules=["b", "a"])
    lines = text.splitlines()
    assert lines[0] == "FROM local/packages:1"
    assert "USER 65532:65532" in lines
    assert lines[-1] == 'ENTRYPOINT ["gemma-operator"]'
    assert f"{BASE.packages}/a {BASE.packages}/b" in text


def test_an_image_without_a_project_copies_only_its_scripts() -> None:
    recipe = images.recipes(images.TABLE.read_text(encoding="utf-8"))["router"]
    text = images.dockerfile(recipe, packages_image="local/packages:1", base=BASE, modules=[])
    assert [line for line in text.splitlines() if line.startswith("COPY")] == ["COPY bin/ /usr/local/bin/"]
