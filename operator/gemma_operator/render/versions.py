"""Whether a manifest that was applied is what would be rendered today. Pure."""

import copy
from typing import Final

from gemma_operator.api import names
from gemma_operator.render.names import CHECKSUM_ANNOTATION
from gemma_operator.render.pod import DISRUPTION_ANNOTATION, READY_TIMEOUT
from gemma_operator.render.types import Object

_MASK: Final = "…"


def same_version(applied: Object, rendered: Object) -> bool:
    """Whether two manifests of a pool's Deployment are of one version of template, plan and configuration.

    The strategy, which follows the GPUs that are free, and the start-up budget, which follows measured starts, change
    with time and make no other version.
    """
    return _lasting(applied) == _lasting(rendered)


def _lasting(manifest: Object) -> Object:
    made = copy.deepcopy(manifest)
    made["metadata"].get("annotations", {}).pop(CHECKSUM_ANNOTATION, None)
    spec = made.get("spec") or {}
    for field in ("strategy", "progressDeadlineSeconds"):
        spec.pop(field, None)
    template = spec.get("template") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if DISRUPTION_ANNOTATION in annotations:
        annotations[DISRUPTION_ANNOTATION] = _MASK
    for container in (template.get("spec") or {}).get("containers") or ():
        if container.get("name") != names.ENGINE_CONTAINER:
            continue
        container.get("startupProbe", {}).pop("failureThreshold", None)
        for variable in container.get("env") or ():
            if variable.get("name") == READY_TIMEOUT:
                variable["value"] = _MASK
    return made
