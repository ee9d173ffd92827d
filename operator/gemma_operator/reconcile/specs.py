"""The spec of a live GemmaDeployment, parsed once and for all callers."""

from collections import OrderedDict

from pydantic import ValidationError

from gemma_operator.api.conditions import MESSAGES, Reason
from gemma_operator.api.names import PAUSED_ANNOTATION, UPGRADE_ANNOTATION
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cluster.resources import Object

Parsed = tuple[GemmaDeploymentSpec | None, str]

_KEPT = 4096
_parsed: OrderedDict[tuple[str, int], Parsed] = OrderedDict()


def parse_spec(obj: Object) -> Parsed:
    """The typed spec, or `None` and the sentence for a condition.

    The CRD refuses what it can; what arrives here broken was stored under an older CRD or a disabled one.
    """
    metadata = obj["metadata"]
    key = (metadata.get("uid", ""), metadata.get("generation", 0))
    if not all(key):
        return _parse(obj)
    if key not in _parsed:
        _parsed[key] = _parse(obj)
        while len(_parsed) > _KEPT:
            _parsed.popitem(last=False)
    return _parsed[key]


def _parse(obj: Object) -> Parsed:
    try:
        return GemmaDeploymentSpec.model_validate(obj.get("spec") or {}), ""
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        return None, MESSAGES[Reason.INVALID_SPEC].format(field=field, error=first["msg"])


def is_paused(obj: Object) -> bool:
    """Whether the annotation stops everything but status."""
    return PAUSED_ANNOTATION in (obj["metadata"].get("annotations") or {})


def asked_upgrade(obj: Object) -> str | None:
    """The value of the annotation that asks for the operator's current version of engine pods."""
    return (obj["metadata"].get("annotations") or {}).get(UPGRADE_ANNOTATION) or None
