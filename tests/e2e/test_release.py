"""`make release` with images, which needs the container engine that the cluster runs in."""

import json
from pathlib import Path

from release.__main__ import build
from release.version import VERSION

from tests.kubectl import Kubectl

IMAGES = ("gemma-operator", "gemma-router")


def test_a_release_has_its_images_and_what_is_in_them(kubectl: Kubectl, tmp_path: Path) -> None:
    """What is built is checked by the build itself: archives are whole, the wheel installs, charts are linted."""
    made = {file.name: file for file in build(tmp_path / "dist", with_images=True)}
    for image in IMAGES:
        [archive] = [file for name, file in made.items() if name.startswith(f"{image}-{VERSION}-")]
        assert archive.name in made["checksums.txt"].read_text()
        bill = json.loads(made[f"{image}-{VERSION}.cdx.json"].read_text())
        kinds = {component["purl"].partition("/")[0] for component in bill["components"]}
        assert {"pkg:pypi", "pkg:deb"} <= kinds, f"{image}: Python packages and those of Debian"
        archive.unlink()
