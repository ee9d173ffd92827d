"""`make release` without images: everything is built, installs, and is the same when it is built again."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from localk8s.console import LocalError
from release import packages, source, verify
from release.__main__ import build
from release.version import VERSION

# It installs the locked requirements into an environment of its own.
pytestmark = pytest.mark.timeout(900)

WHEEL = f"gemma4_stack-{VERSION}-py3-none-any.whl"
SDIST = f"gemma4_stack-{VERSION}.tar.gz"
CHARTS = [f"gemma4-models-{VERSION}.tgz", f"gemma4-stack-{VERSION}.tgz"]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release as it is built and checked by `make release`, in a temporary folder."""
    out = tmp_path_factory.mktemp("release") / "dist"
    build(out, with_images=False)
    return out


def test_everything_is_there(release):
    expected = {"checksums.txt", f"gemma4-stack-{VERSION}.cdx.json", WHEEL, SDIST, *CHARTS}
    assert {file.name for file in release.iterdir()} == expected
    done = subprocess.run(["sha256sum", "--check", "--strict", "checksums.txt"], cwd=release, check=False)
    assert done.returncode == 0


def test_the_wheel_has_the_files_that_are_no_code(release):
    with zipfile.ZipFile(release / WHEEL) as wheel:
        names = set(wheel.namelist())
    assert {"gemma_operator/catalog/models.yaml", "gemma_operator/py.typed"} <= names
    assert any(name.startswith("gemma_operator/render/templates/") for name in names)
    assert not [name for name in names if name.startswith(("tests", "hack", "localk8s"))]


def test_chart_packages_hold_what_is_installed_and_no_more(release):
    with tarfile.open(release / CHARTS[1]) as package:
        names = set(package.getnames())
    assert "gemma4-stack/templates/crds/gemmadeployments.yaml" in names
    assert not [name for name in names if "/ci/" in name]


def test_built_again_it_is_the_same_to_the_byte(release, tmp_path):
    tree, out, scratch = (tmp_path / name for name in ("tree", "out", "scratch"))
    out.mkdir()
    scratch.mkdir()
    source.copy(tree)
    epoch = source.epoch()
    again = packages.python_packages(tree, out, epoch=epoch, scratch=scratch)
    again += packages.chart_packages(tree, out, version=VERSION, epoch=epoch)
    assert {file.name for file in again} == {WHEEL, SDIST, *CHARTS}
    for file in again:
        assert file.read_bytes() == (release / file.name).read_bytes(), file.name


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(LocalError, match="is not empty"):
        build(tmp_path, with_images=False)
    assert (tmp_path / "mine").exists()


def test_charts_of_another_version_are_told(release):
    with pytest.raises(LocalError, match=f"says version {VERSION}"):
        verify.check_charts([release / CHARTS[1]], version="9.9.9")
