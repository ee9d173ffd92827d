"""JSON log lines that carry the object they are about."""

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the object if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if reference := getattr(record, "object", None):
            line["object"] = reference
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class ObjectLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the object to each line."""

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Put the object where the formatter finds it."""
        kwargs["extra"] = {"object": self.extra}
        return msg, kwargs


def logger(about: Mapping[str, Any] | None = None, *, name: str = "gemma.reconcile") -> ObjectLogger:
    """A logger of lines about an object, given as a manifest or live object."""
    reference: dict[str, str] = {}
    if about:
        metadata = about.get("metadata", {})
        reference = {"kind": about.get("kind", ""), "name": metadata.get("name", "")}
        if metadata.get("namespace"):
            reference["namespace"] = metadata["namespace"]
    return ObjectLogger(logging.getLogger(name), reference)


def configure(*, level: str = "INFO") -> None:
    """Send every log line of the process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # kopf logs each raw event at INFO; the reconciler logs what it did with it.
    logging.getLogger("kopf").setLevel(logging.WARNING)
