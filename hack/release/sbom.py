"""Software bills of materials (CycloneDX 1.6, JSON): of the locked requirements, and of what an image holds."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from localk8s import wheels
from localk8s.console import LocalError
from packageurl import PackageURL

CONTENTS: Final = r"""
import importlib.metadata, json, pathlib, re
python = {(d.metadata["Name"], d.version) for d in importlib.metadata.distributions() if d.metadata["Name"]}
debian, status, release = [], pathlib.Path("/var/lib/dpkg/status"), {}
for text in status.read_text().split("\n\n") if status.exists() else ():
    fields = dict(re.findall(r"^([A-Z][A-Za-z-]*): (.*)$", text, re.M))
    if fields.get("Status", "").endswith(" installed"):
        debian.append((fields["Package"], fields["Version"], fields["Architecture"]))
for line in pathlib.Path("/etc/os-release").read_text().splitlines():
    name, _, value = line.partition("=")
    release[name] = value.strip('"')
system = [release.get("ID"), release.get("VERSION_ID")]
print(json.dumps({"python": sorted(python), "debian": sorted(debian), "os": system}))
"""
"""Run by the Python of an image: the packages that are installed there."""
_MARKER: Final = "gemma4-stack:marker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a bill is about."""

    name: str
    version: str
    purl: PackageURL
    type: ComponentType
    epoch: int
    """Time that the bill carries, in seconds since 1970."""


def of_requirements(subject: Subject, text: str) -> str:
    """The bill of a locked file: every package with the digests of the distributions that may be installed."""
    components = []
    for requirement, marker in wheels.requirements(text):
        pinned, *hashes = requirement.split(" --hash=")
        name, _, version = pinned.partition("==")
        if not version:
            raise LocalError(f"{pinned!r} is not locked to one version: run `make lock`")
        distributions = ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(f"https://pypi.org/project/{name}/{version}/#files"),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each.removeprefix("sha256:")) for each in hashes],
        )
        properties = [Property(name=_MARKER, value=marker)] if marker else []
        components.append(_python(name, version, references=[distributions], properties=properties))
    return _bill(subject, components)


def of_image(subject: Subject, run: Callable[[str], str]) -> str:
    """The bill of an image: Python and Debian packages in it; `run` gives what Python code prints there."""
    found = json.loads(run(CONTENTS))
    system, release = found["os"]
    components = [_python(name, version) for name, version in found["python"]]
    for name, version, architecture in found["debian"]:
        qualifiers = {"arch": architecture, "distro": f"{system}-{release}"}
        purl = PackageURL(type="deb", namespace=system, name=name, version=version, qualifiers=qualifiers)
        components.append(_component(name, version, purl))
    return _bill(subject, components)


def components(text: str) -> list[tuple[str, str]]:
    """Name and version of everything in a bill; raises `LocalError` for what is none."""
    try:
        read = cast(Any, Bom).from_json  # made by a decorator that tells no types
        bom: Bom = read(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise LocalError(f"not a CycloneDX bill: {error}") from None
    return sorted((each.name, each.version or "") for each in bom.components)


def _python(
    name: str,
    version: str,
    *,
    references: Iterable[ExternalReference] = (),
    properties: Iterable[Property] = (),
) -> Component:
    normal = re.sub(r"[-_.]+", "-", name).lower()
    purl = PackageURL(type="pypi", name=normal, version=version)
    return _component(normal, version, purl, references=references, properties=properties)


def _component(
    name: str,
    version: str,
    purl: PackageURL,
    *,
    references: Iterable[ExternalReference] = (),
    properties: Iterable[Property] = (),
) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=purl,
        bom_ref=purl.to_string(),
        external_references=references,
        properties=properties,
    )


def _bill(subject: Subject, components: Sequence[Component]) -> str:
    reference = subject.purl.to_string()
    about = Component(
        type=subject.type, name=subject.name, version=subject.version, purl=subject.purl, bom_ref=reference
    )
    content = "\0".join([reference, *sorted(str(each.bom_ref.value) for each in components)])
    bom = Bom(
        components=components,
        metadata=BomMetaData(component=about, timestamp=datetime.fromtimestamp(subject.epoch, tz=UTC)),
        # The same content has the same number: a bill can be made again, byte for byte.
        serial_number=uuid.UUID(bytes=hashlib.sha256(content.encode()).digest()[:16], version=4),
        dependencies=[
            Dependency(ref=about.bom_ref, dependencies=[Dependency(ref=each.bom_ref) for each in components]),
            *(Dependency(ref=each.bom_ref) for each in components),
        ],
    )
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"
