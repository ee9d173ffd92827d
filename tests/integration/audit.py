"""Writes in the API server's audit log."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

WRITES = {"create", "update", "patch", "delete", "deletecollection"}
BOOKKEEPING = {"events", "leases"}


class AuditLog:
    """Reads an audit log from where it ended when this was made."""

    def __init__(self, path: Path, *, agent: str) -> None:
        self._path = path
        self._agent = agent
        self._offset = path.stat().st_size

    def restart(self) -> None:
        """Forget everything up to now."""
        self._offset = self._path.stat().st_size

    def entries(self) -> list[dict[str, Any]]:
        """Finished requests of the user agent since then."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().splitlines()
        found = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the last line may be half written
            if entry.get("stage") == "ResponseComplete" and entry.get("userAgent", "").startswith(self._agent):
                found.append(entry)
        return found

    def writes(self) -> Counter[str]:
        """Writes as `verb resource/name`, Events and Leases apart."""
        return Counter(
            f"{entry['verb']} {entry['objectRef']['resource']}/{entry['objectRef'].get('name', '')}"
            for entry in self.entries()
            if entry["verb"] in WRITES and entry["objectRef"]["resource"] not in BOOKKEEPING
        )

    def take_created(self) -> int:
        """Objects made since then or since the last call, Events and Leases apart."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = [json.loads(line) for line in whole.splitlines() if b'"code":201' in line]
        return sum(
            entry["stage"] == "ResponseComplete"
            and entry.get("userAgent", "").startswith(self._agent)
            and entry["objectRef"]["resource"] not in BOOKKEEPING
            for entry in found
        )

    def reads(self) -> int:
        """Requests that are no writes."""
        return sum(entry["verb"] not in WRITES for entry in self.entries())
