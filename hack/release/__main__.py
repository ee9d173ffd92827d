"""`make release`: everything that is published of a version, in one folder, checked.

PYTHONPATH=hack .venv/bin/python -m release [--out dist] [--uncommitted] [--without-images]
"""

import argparse
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Final

from cyclonedx.model.component import ComponentType
from localk8s import engine, paths
from localk8s.console import LocalError, say, step
from packageurl import PackageURL

from release import images, packages, sbom, source, verify
from release.version import CHANGELOG, UNRELEASED, VERSION, changelog_problems, sections

DEFAULT: Final = paths.REPOSITORY / "dist"


def build(out: Path, *, with_images: bool) -> list[Path]:
    """Build into an empty or missing folder, and check it; returns the files. Raises `LocalError`."""
    changelog = CHANGELOG.read_text(encoding="utf-8")
    if problems := changelog_problems(changelog):
        raise LocalError("\n".join(problems))
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise LocalError(f"{out} is not empty: a release is built into a folder of its own")
    epoch = source.epoch()
    with paths.scratch() as scratch:
        tree = scratch / "tree"
        source.copy(tree)
        with step(f"building wheel and source distribution of {VERSION}"):
            _, wheel = packages.python_packages(tree, out, epoch=epoch, scratch=_folder(scratch / "sdist"))
        with step("packaging the charts"):
            charts = packages.chart_packages(tree, out, version=VERSION, epoch=epoch)
    lock = (paths.REPOSITORY / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    _write(out / f"gemma4-stack-{VERSION}.cdx.json", sbom.of_requirements(_package(epoch), lock))
    if with_images:
        for image in images.save(out, version=VERSION):
            _check_image(image)
            bill = sbom.of_image(_container(image, epoch), partial(images.run_in, image.reference))
            _write(out / f"{image.name}-{VERSION}.cdx.json", bill)
    _write(out / verify.CHECKSUMS, verify.checksums(out))
    with step("checking what was built", seconds=40), paths.scratch() as scratch:
        verify.check_checksums(out)
        verify.check_wheel(wheel, version=VERSION, scratch=scratch)
        verify.check_charts(charts, version=VERSION)
        for file in out.glob("*.cdx.json"):
            if not sbom.components(file.read_text(encoding="utf-8")):
                raise LocalError(f"{file.name} lists nothing")
    if next(sections(changelog)).when == UNRELEASED:
        say(f"    CHANGELOG.md still calls {VERSION} {UNRELEASED}: write the date before it is published")
    return sorted(out.iterdir())


def main(arguments: list[str] | None = None) -> int:
    """0 when everything is built and checked, 1 after an error that is printed."""
    parser = argparse.ArgumentParser(prog="make release", description="Build and check what is published.")
    parser.add_argument("--out", type=Path, default=DEFAULT, help="an empty folder (default: dist, emptied)")
    parser.add_argument("--uncommitted", action="store_true", help="also with changes that are in no commit, to try")
    parser.add_argument("--without-images", action="store_true", help="leave the images out, needs no engine")
    options = parser.parse_args(arguments)
    try:
        if not options.uncommitted:
            source.need_clean()
        with_images = not options.without_images and engine.answers()
        if options.out == DEFAULT:
            shutil.rmtree(DEFAULT, ignore_errors=True)
        made = build(options.out, with_images=with_images)
    except LocalError as error:
        say(f"error: {error}")
        return 1
    if not with_images and not options.without_images:
        say("    without images: no container engine answers; `hack/local engine` starts one")
    for file in made:
        print(f"{file.stat().st_size:>12}  {file}")
    return 0


def _package(epoch: int) -> sbom.Subject:
    return sbom.Subject(
        name="gemma4-stack",
        version=VERSION,
        purl=PackageURL(type="pypi", name="gemma4-stack", version=VERSION),
        type=ComponentType.APPLICATION,
        epoch=epoch,
    )


def _container(image: images.Saved, epoch: int) -> sbom.Subject:
    return sbom.Subject(
        name=image.reference,
        version=image.identity,
        purl=PackageURL(
            type="oci",
            name=image.name,
            version=image.identity,
            qualifiers={"repository_url": f"{images.REGISTRY}/{image.name}", "tag": VERSION},
        ),
        type=ComponentType.CONTAINER,
        epoch=epoch,
    )


def _check_image(image: images.Saved) -> None:
    if (named := images.references(image.archive)) != [image.reference]:
        raise LocalError(f"{image.archive.name} holds {', '.join(named) or 'no image'}, not {image.reference}")


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
