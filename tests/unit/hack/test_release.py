"""The parts of a release that need neither Helm nor a container engine."""

import io
import json
import subprocess
import sys
import tarfile

import pytest
from cyclonedx.model.component import ComponentType
from localk8s import archive, paths
from localk8s.console import LocalError
from packageurl import PackageURL
from release import images, packages, sbom, verify

SUBJECT = sbom.Subject(
    name="thing",
    version="1.2.3",
    purl=PackageURL(type="pypi", name="thing", version="1.2.3"),
    type=ComponentType.APPLICATION,
    epoch=1_700_000_000,
)
LOCK = f"""\
aiohttp==3.14.5 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
    # via -r runtime.in
Typing_Extensions==4.1 ; python_full_version < '3.13' \\
    --hash=sha256:{"c" * 64}
"""


def test_the_bill_of_a_lock_has_every_package_and_every_digest():
    bill = json.loads(sbom.of_requirements(SUBJECT, LOCK))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    first, second = bill["components"]
    assert first["purl"] == "pkg:pypi/aiohttp@3.14.5"
    [distribution] = first["externalReferences"]
    assert [each["content"] for each in distribution["hashes"]] == ["a" * 64, "b" * 64]
    assert second["purl"] == "pkg:pypi/typing-extensions@4.1"
    assert second["properties"] == [{"name": "gemma4-stack:marker", "value": "python_full_version < '3.13'"}]
    [about] = [each for each in bill["dependencies"] if each["ref"] == "pkg:pypi/thing@1.2.3"]
    assert about["dependsOn"] == ["pkg:pypi/aiohttp@3.14.5", "pkg:pypi/typing-extensions@4.1"]


def test_the_bill_of_the_operators_lock_can_be_made_again():
    lock = (paths.REPOSITORY / "requirements" / "runtime.txt").read_text()
    text = sbom.of_requirements(SUBJECT, lock)
    assert text == sbom.of_requirements(SUBJECT, lock)
    assert {"kopf", "pydantic", "kubernetes"} <= {name for name, _ in sbom.components(text)}


def test_what_is_not_locked_is_told():
    with pytest.raises(LocalError, match="'kopf>=1' is not locked"):
        sbom.of_requirements(SUBJECT, "kopf>=1\n")


def test_the_bill_of_an_image_is_read_inside_it():
    """This machine stands for the image: the same code runs in its Python."""

    def run(code: str) -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    found = dict(sbom.components(sbom.of_image(SUBJECT, run)))
    assert found["pytest"] == pytest.__version__


def test_debian_packages_of_an_image_are_in_its_bill():
    contents = {"python": [], "debian": [["libc6", "2.36-9", "amd64"]], "os": ["debian", "12"]}
    bill = json.loads(sbom.of_image(SUBJECT, lambda _: json.dumps(contents)))
    [component] = bill["components"]
    assert component["purl"] == "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"


def test_what_is_no_bill_is_told():
    with pytest.raises(LocalError, match="not a CycloneDX bill"):
        sbom.components("{]")


def test_checksums_are_those_of_sha256sum(tmp_path):
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    (tmp_path / verify.CHECKSUMS).write_text(verify.checksums(tmp_path))
    verify.check_checksums(tmp_path)
    said = subprocess.run(["sha256sum", "--check", verify.CHECKSUMS], cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout == "one: OK\ntwo: OK\n"


def test_a_changed_a_missing_and_an_unlisted_file_are_told(tmp_path):
    (tmp_path / "one").write_text("1")
    (tmp_path / verify.CHECKSUMS).write_text(verify.checksums(tmp_path))
    (tmp_path / "two").write_text("2")
    with pytest.raises(LocalError, match="does not list two"):
        verify.check_checksums(tmp_path)
    (tmp_path / "one").write_text("3")
    with pytest.raises(LocalError, match="one is not what"):
        verify.check_checksums(tmp_path)
    (tmp_path / "one").unlink()
    with pytest.raises(LocalError, match="one is not what"):
        verify.check_checksums(tmp_path)


def test_repacked_archives_forget_who_made_them_and_when(tmp_path):
    made = []
    for number, order in enumerate((["a", "b"], ["b", "a"])):
        file = tmp_path / f"{number}.tgz"
        with tarfile.open(file, "w:gz") as tar:
            for name in order:
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.uid = 1, 1000 + number, number
                tar.addfile(info, io.BytesIO(b"x"))
        packages.repack(file, epoch=1_700_000_000)
        made.append(file.read_bytes())
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "0.tgz") as tar:
        assert [(each.name, each.mtime) for each in tar] == [("a", 1_700_000_000), ("b", 1_700_000_000)]


def test_an_archive_of_images_is_read(tmp_path):
    file = tmp_path / "image.tar"
    archive.write([archive.Image(reference="example.com/thing:1.2.3", layers=(b"layer",))], file)
    assert images.references(file) == ["example.com/thing:1.2.3"]
    with tarfile.open(file) as tar:
        [layer] = [name for name in tar.getnames() if name.endswith(".tar")]
    subprocess.run(["tar", "--delete", "--file", file, layer], check=True)
    with pytest.raises(LocalError, match=rf"image\.tar lacks {layer}"):
        images.references(file)
