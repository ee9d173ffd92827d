"""Archives hold what their manifest says, and the same files give the same layer."""

import hashlib
import json
import tarfile
from pathlib import Path

from localk8s import archive


def test_an_archive_names_its_layers_by_digest(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    layer = archive.layer({"usr/local/bin/program": program})
    file = tmp_path / "images.tar"
    archive.write([archive.Image("registry.example/program:v1", (layer,), ("/program",))], file)
    with tarfile.open(file) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(tar.extractfile(manifest[0]["Config"]))  # type: ignore[arg-type]
        stored = tar.extractfile(manifest[0]["Layers"][0]).read()  # type: ignore[union-attr]
    assert manifest[0]["RepoTags"] == ["registry.example/program:v1"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(stored).hexdigest()}"]
    assert config["config"]["Entrypoint"] == ["/program"]


def test_a_layer_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("same")
    other.write_text("same")
    other.chmod(0o600)
    assert archive.layer({"bin/x": one}) == archive.layer({"bin/x": other})
