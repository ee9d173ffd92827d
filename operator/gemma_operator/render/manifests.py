"""What is done to every rendered object: serialise, hash, annotate."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gemma_operator.render.names import CHECKSUM_ANNOTATION
from gemma_operator.render.types import Object


def compact(value: Any) -> str:
    """Deterministic JSON without white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def checksum(value: Any) -> str:
    """Sixteen hexadecimal digits that change with the value."""
    return hashlib.sha256(compact(value).encode()).hexdigest()[:16]


def annotated(manifest: Object, annotations: Mapping[str, str]) -> Object:
    """The manifest with annotations on the object itself, not on its pods; the argument is left as it is."""
    metadata = manifest["metadata"]
    return {
        **manifest,
        "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **annotations}},
    }


def stamped(manifest: Object) -> Object:
    """The manifest with its own checksum, which makes a field that is no longer rendered visible as drift."""
    return annotated(manifest, {CHECKSUM_ANNOTATION: checksum(manifest)})
