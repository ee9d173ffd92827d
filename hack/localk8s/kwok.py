"""The stages that kwok plays for faked nodes and pods, taken from its own module."""

from pathlib import Path

from localk8s import binaries, paths, pins
from localk8s.console import LocalError

ANNOTATION = "kwok.x-k8s.io/node"
SELECTOR = f"{ANNOTATION}=fake"
# What is played for each: nodes become Ready and send heartbeats, pods become Ready, end as Jobs do, are deleted.
STAGE_FOLDERS = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
DELAY = "pod-ready.stage.kwok.x-k8s.io/delay"
"""Annotation of a pod that takes so long to become Ready, such as `30s`; kwok's slower stages have the same one."""
_POD_READY = "pod/fast/pod-ready.yaml"
_CHANGES = (
    (
        "  next:\n",
        f"  delay:\n    durationFrom:\n      expressionFrom: '.metadata.annotations[\"{DELAY}\"]'\n  next:\n",
    ),
    # A kubelet says of every running container whether it has started.
    ("        restartCount: 0\n        state:\n", "        restartCount: 0\n        started: true\n        state:\n"),
)
_REVISION = 2
"""Of `_CHANGES`: raise it with them."""


def stages() -> Path:
    """Return a file with kwok's own stages, collected once per version of kwok, with slow starts for who wants them."""
    module = pins.load().command("kwok").module
    file = paths.cache("kwok", f"stages-{module.version}-{_REVISION}.yaml")
    if not file.exists():
        source = binaries.module_folder(module) / "kustomize" / "stage"
        texts = [
            _changed(text.read_text(encoding="utf-8"), name=f"{folder}/{text.name}").strip()
            for folder in STAGE_FOLDERS
            for text in sorted((source / folder).glob("*.yaml"))
            if text.name != "kustomization.yaml"
        ]
        if not texts:
            raise LocalError(
                f"kwok {module.version} has no stages in {source}: look where they went, and set STAGE_FOLDERS"
            )
        new = file.with_suffix(".new")
        new.write_text("\n---\n".join(texts) + "\n")
        new.replace(file)
    return file


def _changed(text: str, *, name: str) -> str:
    if name != _POD_READY:
        return text
    for old, new in _CHANGES:
        if text.count(old) != 1:
            raise LocalError(
                f"kwok's {name} is not what _CHANGES was written for: it has {old!r} {text.count(old)} times"
            )
        text = text.replace(old, new)
    return text
