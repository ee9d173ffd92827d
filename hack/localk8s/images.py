"""Our own images: packages installed on the host, copied onto a Python base; non-root, fit for a read-only root."""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from localk8s import engine, nodeimage, paths, pins, wheels
from localk8s.console import LocalError, lock, output, run, say, step

TABLE = paths.REPOSITORY / "hack" / "images.toml"
INPUTS_LABEL = "gemma4stack.dev/inputs"
OWN_BASE = "local/python:bookworm"
USER = 65532
_IGNORED = {"__pycache__", "build"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A row of images.toml."""

    name: str
    tag: str
    requirements: Path
    scripts: dict[str, str]
    """Console scripts on PATH: name → `module:function`."""
    entrypoint: tuple[str, ...]
    source: Path | None
    inputs: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """A Python base image."""

    reference: str
    identity: str
    version: str
    packages: str
    """Folder that the base's Python imports packages from."""


def recipes(text: str, *, root: Path = paths.REPOSITORY) -> dict[str, Recipe]:
    """Read the text of images.toml. Raises LocalError with the row and field that is missing."""
    found = {}
    for name, row in tomllib.loads(text).items():
        missing = {"tag", "requirements", "entrypoint"} - row.keys()
        if missing:
            raise LocalError(f"images.toml: {name} has no {', '.join(sorted(missing))}")
        found[name] = Recipe(
            name=name,
            tag=row["tag"],
            requirements=root / row["requirements"],
            scripts={**row.get("scripts", {}), **_scripts_of(row.get("source"), root=root)},
            entrypoint=tuple(row["entrypoint"]),
            source=root / row["source"] if "source" in row else None,
            inputs=tuple(root / part for part in row.get("inputs", ())),
        )
    return found


def _scripts_of(source: str | None, *, root: Path) -> dict[str, str]:
    """Return the console scripts that the pyproject.toml of a folder declares."""
    if source is None:
        return {}
    project = tomllib.loads((root / source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared: dict[str, str] = project.get("scripts", {})
    return declared


def build(names: Iterable[str], *, base: str | None = None) -> list[str]:
    """Build images by name (`base` is the Python base alone) and return their tags; nothing is built needlessly.

    `base` is the image to build on; without it python:3.13-slim where that can be pulled, else one made here.
    """
    engine.ensure()
    known = recipes(TABLE.read_text(encoding="utf-8"))
    wanted = list(names)
    unknown = [name for name in wanted if name not in known and name != "base"]
    if unknown:
        raise LocalError(f"There is no image {', '.join(unknown)}; there are: base, {', '.join(known)}")
    foundation = _inspect(base_image(base))
    tags = []
    for name in wanted:
        if name == "base":
            tags.append(foundation.reference)
            continue
        with lock(f"image-{name}"):
            _build(known[name], foundation)
        tags.append(known[name].tag)
    return tags


def build_from(tree: Path, name: str, *, tag: str) -> None:
    """Build an image as another checkout of the project describes it, under a tag of its own."""
    engine.ensure()
    recipe = recipes((tree / "hack" / "images.toml").read_text(encoding="utf-8"), root=tree)[name]
    with lock(f"image-{name}"):
        _build(dataclasses.replace(recipe, tag=tag), _inspect(base_image(None)))


def base_image(wanted: str | None) -> str:
    """Return the Python base image, pulled or made. Raises LocalError where the wanted one can be neither."""
    table = pins.load().tables["python"]
    pulled = wanted or str(table["image"])
    if engine.has_image(pulled):
        return pulled
    if engine.can_pull(pulled):
        with step(f"pulling {pulled}", seconds=20):
            run(["docker", "pull", pulled], log="image-base")
        return pulled
    if wanted not in (None, OWN_BASE):
        raise LocalError(f"No registry answers for {wanted}: leave --base out, and one is made from Debian's packages.")
    made = nodeimage.debian(table["packages"], release=table["debian"])
    output(["docker", "tag", made, OWN_BASE])
    return OWN_BASE


def digest_of(parts: Iterable[Path]) -> str:
    """Return a digest of files and folders: names and contents, without what building leaves behind."""
    digest = hashlib.sha256()
    for part in parts:
        files = [part] if part.is_file() else sorted(path for path in part.rglob("*") if path.is_file())
        for file in files:
            if not _IGNORED.intersection(file.parts) and not any(p.endswith(".egg-info") for p in file.parts):
                digest.update(str(file.relative_to(part.parent)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def packages_dockerfile(base: Base) -> str:
    """Return the Dockerfile of the layers that change only with the locked packages.

    Compiled here, since the root is read-only later; some packages carry templates that are no Python, which
    compileall counts as errors.
    """
    return f"""FROM {base.reference}
COPY site/ {base.packages}/
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash {base.packages} > /dev/null || true
RUN echo "nonroot:x:{USER}:{USER}::/tmp:/sbin/nologin" >> /etc/passwd && echo "nonroot:x:{USER}:" >> /etc/group
ENV HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
"""


def dockerfile(recipe: Recipe, *, packages_image: str, base: Base, modules: list[str]) -> str:
    """Return the Dockerfile of the layers that change with our code; `modules` is what the project installs."""
    lines = [f"FROM {packages_image}"]
    if modules:
        names = " ".join(f"{base.packages}/{name}" for name in sorted(modules))
        lines += [
            f"COPY site/ {base.packages}/",
            f"RUN python3 -m compileall -q --invalidation-mode unchecked-hash {names}",
        ]
    lines += ["COPY bin/ /usr/local/bin/", f"USER {USER}:{USER}", "WORKDIR /tmp"]
    return "\n".join([*lines, f"ENTRYPOINT {json.dumps(recipe.entrypoint)}"]) + "\n"


def _inspect(reference: str) -> Base:
    ask = "import json,platform,sysconfig;print(json.dumps([platform.python_version(),sysconfig.get_path('purelib')]))"
    text = output(["docker", "run", "--rm", "--network=none", "--entrypoint=python3", reference, "-c", ask])
    version, packages = json.loads(text)
    identity = output(["docker", "image", "inspect", "--format", "{{.Id}}", reference]).strip()
    return Base(reference=reference, identity=identity, version=version, packages=packages)


def _build(recipe: Recipe, base: Base) -> None:
    locked = wheels.for_python(recipe.requirements.read_text(encoding="utf-8"), base.version)
    packages_key = _key(locked, base.identity, packages_dockerfile(base))
    packages_image = f"local/packages-{recipe.name}:{packages_key}"
    inputs = _key(packages_key, digest_of(recipe.inputs), repr(recipe), digest_of([Path(__file__)]))
    if engine.label(recipe.tag, INPUTS_LABEL) == inputs:
        say(f"    image {recipe.tag} is up to date")
        return
    if not engine.has_image(packages_image):
        _build_packages(recipe, packages_image, locked=locked, base=base)
    with step(f"building image {recipe.tag}", seconds=10), paths.scratch() as context:
        site, scripts = context / "site", context / "bin"
        modules: list[str] = []
        if recipe.source:
            wheels.install_project(recipe.source, site, log=f"image-{recipe.name}")
            modules = [path.name for path in site.iterdir() if path.suffix != ".dist-info"]
        scripts.mkdir()
        for name, target in recipe.scripts.items():
            (scripts / name).write_text(wheels.console_script(target))
            (scripts / name).chmod(0o755)
        text = dockerfile(recipe, packages_image=packages_image, base=base, modules=modules)
        (context / "Dockerfile").write_text(text)
        engine.build(context, tag=recipe.tag, log=f"image-{recipe.name}", labels={INPUTS_LABEL: inputs})


def _build_packages(recipe: Recipe, tag: str, *, locked: str, base: Base) -> None:
    count = len(locked.splitlines())
    title = f"installing {count} packages of {recipe.requirements.name} for Python {wheels.minor(base.version)}"
    with step(title, seconds=count), paths.scratch() as context:
        wheels.install(locked, context / "site", version=base.version, log=f"image-{recipe.name}")
        (context / "Dockerfile").write_text(packages_dockerfile(base))
        engine.build(context, tag=tag, log=f"image-{recipe.name}")


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
