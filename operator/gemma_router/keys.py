"""Client keys from a mounted Secret: a file per client, its name the client's name, its content the key."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
SHORTEST = 16

Signature = tuple[tuple[str, int, int, int], ...]


class KeyRing:
    """Names by hash of key. The files are looked at again once a second, so a revoked key stops without a restart."""

    def __init__(self, directory: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._looked = float("-inf")
        self._signature: Signature | None = None
        self._names: dict[bytes, str] = {}

    def client(self, key: str) -> str | None:
        """Return the name of the client that has this key, or None."""
        self.refresh()
        wanted, found = _hash(key), None
        # Every entry is compared, in constant time each, whatever matched before.
        for known, name in self._names.items():
            if hmac.compare_digest(known, wanted):
                found = name
        return found

    def refresh(self) -> None:
        """Read the files if a second has passed and they are different now. Says in the log what was loaded."""
        now = self._clock()
        if now - self._looked < LOOK_EVERY_SECONDS:
            return
        self._looked = now
        try:
            signature = _signature(self._directory)
            if signature == self._signature:
                return
            names = _read(self._directory)
        except FileNotFoundError:
            if self._directory.is_dir():
                # kubelet swapped the files while they were read: look again with the next request.
                self._looked = float("-inf")
                return
            signature, names = (), {}
        except OSError as error:
            log.error("cannot read client keys in %s, keeping those known: %s", self._directory, error)
            return
        if self._signature != signature:
            log.warning("client keys loaded from %s: %s", self._directory, ", ".join(sorted(names.values())) or "none")
        self._signature, self._names = signature, names


def same_key(given: str, expected: str) -> bool:
    """Compare two keys in constant time. An empty expected key equals nothing."""
    return bool(expected) and hmac.compare_digest(_hash(given), _hash(expected))


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _files(directory: Path) -> list[Path]:
    """Key files, without kubelet's own entries (`..data` and the dated directory that it points to)."""
    return sorted(path for path in directory.iterdir() if not path.name.startswith("."))


def _signature(directory: Path) -> Signature:
    stats = [(path.name, path.stat()) for path in _files(directory)]
    return tuple((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats)


def _read(directory: Path) -> dict[bytes, str]:
    names: dict[bytes, str] = {}
    for path in _files(directory):
        key = path.read_text(encoding="utf-8", errors="surrogateescape").strip()
        if len(key) < SHORTEST:
            log.error(
                "client key %r is ignored: it has %d characters, at least %d are needed; change it in the Secret",
                path.name,
                len(key),
                SHORTEST,
            )
        elif _hash(key) in names:
            log.error("client key %r is ignored: it is the key of %r too", path.name, names[_hash(key)])
        else:
            names[_hash(key)] = path.name
    return names
