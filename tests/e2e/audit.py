"""Who wrote what, from the audit log of the API server."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITES = {"create", "update", "patch", "delete", "deletecollection"}
OPERATOR = "system:serviceaccount:gemma-system:gemma-operator"
NOT_COUNTED = {"events", "leases"}


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The audit log on the host, one JSON object per line."""

    path: Path

    def position(self) -> int:
        """Where the log ends now."""
        return self.path.stat().st_size

    def writes(self, *, user: str = OPERATOR, since: int = 0) -> list[str]:
        """Writes of a user after a position, as `time verb resource namespace/name`; events and leases apart."""
        return [
            f"{entry['stageTimestamp']} {entry['verb']} {_what(entry['objectRef'])}"
            for entry in self._entries(since, user=user)
            if entry["verb"] in WRITES and entry.get("objectRef", {}).get("resource") not in NOT_COUNTED
        ]

    def lists(self, *, user: str = OPERATOR, since: int = 0) -> dict[str, datetime]:
        """When a user first listed each resource after a position."""
        found: dict[str, datetime] = {}
        for entry in self._entries(since, user=user):
            if entry["verb"] in ("list", "watch"):
                found.setdefault(entry["objectRef"]["resource"], datetime.fromisoformat(entry["stageTimestamp"]))
        return found

    def namespaces(self, *, user: str = OPERATOR, since: int = 0) -> set[str]:
        """Those of the objects that a user asked for after a position; empty for cluster-wide kinds and lists."""
        return {
            entry["objectRef"].get("namespace", "") for entry in self._entries(since, user=user) if "objectRef" in entry
        }

    def takeover(self, before: str) -> float:
        """Seconds from the last renewal of the operator's Lease by the pod `before` to the next one by another."""
        renewed = [
            (datetime.fromisoformat(entry["stageTimestamp"]), _pod(entry))
            for entry in self._entries(0, user=OPERATOR)
            if entry["verb"] == "update"
            and entry["objectRef"]["resource"] == "leases"
            and entry["responseStatus"]["code"] == 200
        ]
        last = max(at for at, pod in renewed if pod == before)
        return (min(at for at, _ in renewed if at > last) - last).total_seconds()

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every answered request of somebody known: a token of a deleted ServiceAccount is nobody's."""
        return self._entries(0)

    def _entries(self, since: int, *, user: str = "") -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as log:
            log.seek(since)
            for line in log:
                # The last line may still be being written.
                if not line.endswith(b"\n"):
                    continue
                entry = json.loads(line)
                name = entry["user"].get("username")
                if name is not None and user in ("", name):
                    yield entry


def _pod(entry: dict[str, Any]) -> str:
    """The pod that its token was made for."""
    [name] = entry["user"]["extra"]["authentication.kubernetes.io/pod-name"]
    return str(name)


def _what(reference: dict[str, Any]) -> str:
    kind = "/".join(part for part in (reference.get("resource"), reference.get("subresource")) if part)
    return f"{kind} {reference.get('namespace', '')}/{reference.get('name', '')}"
