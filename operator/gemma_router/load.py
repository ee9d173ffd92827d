"""What an engine reports, and whether it can run one more request soon. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

STALE_SECONDS = 5.0
"""Age at which a sample says nothing any more: four scrapes in a row have failed."""
FULL_KV = 0.9
"""Share of the KV cache in use above which waiting requests wait for memory, not for a sequence."""

_RUNNING, _WAITING = b"vllm:num_requests_running", b"vllm:num_requests_waiting"
_KV = b"vllm:kv_cache_usage_perc"


@dataclass(frozen=True, slots=True)
class Sample:
    """One scrape of one engine. `at` is a time of the event loop, in seconds."""

    running: int
    waiting: int
    kv: float
    """Share of the KV cache in use, 0 to 1."""
    own: int
    """Requests that this router pod had there during the scrape."""
    at: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the requests at one endpoint. `peers` counts the router pods, this one included."""

    max_num_seqs: int | None
    peers: int = 1

    @property
    def slots(self) -> float:
        """Sequences that the engine runs at once, and the allowance; without end when the route does not say."""
        return math.inf if self.max_num_seqs is None else self.max_num_seqs + allowance(self.max_num_seqs)


def allowance(max_num_seqs: int) -> int:
    """Return how many requests may wait inside an engine: one for each sixteen sequences, at least one.

    A sequence that ends frees its slot some 20 to 50 ms before the router's next request can be there. At 128
    sequences of half a second each that is 5 to 13 empty slots; real answers take seconds. What waits there cannot
    move to another endpoint, so it must be no more: it waits for a sixteenth of an answer's time.
    """
    return max(1, math.ceil(max_num_seqs / 16))


def parse(exposition: bytes) -> tuple[int, int, float] | None:
    """Return requests running and waiting, and the KV use, of vLLM's `/metrics`; None when they are not in there.

    Data parallel engines report once for each rank: requests add up, the fullest cache counts.
    """
    try:
        running, waiting = list(_values(exposition, _RUNNING)), list(_values(exposition, _WAITING))
        kv = max(_values(exposition, _KV), default=0.0)
    except ValueError:
        return None
    # Sums, since two large numbers may add up to none.
    if not running or not waiting or not all(map(math.isfinite, (sum(running), sum(waiting), kv))):
        return None
    return int(sum(running)), int(sum(waiting)), kv


def _values(exposition: bytes, name: bytes) -> Iterator[float]:
    """Yield the values of one gauge. By searching: a regular expression takes milliseconds for vLLM's 50 kB."""
    start = 0
    while (start := exposition.find(name, start)) >= 0:
        end = exposition.find(b"\n", start)
        line = exposition[start : end if end >= 0 else None]
        if (start == 0 or exposition[start - 1 : start] == b"\n") and line[len(name) : len(name) + 1] in (b"{", b" "):
            yield float(line.rpartition(b" ")[2])
        start += len(line)


def load(own: int, sample: Sample | None) -> int:
    """Return the requests at an endpoint now: those of this router pod, and what the sample shows beyond them."""
    if sample is None:
        return own
    return own + max(0, sample.running + sample.waiting - sample.own)


def has_room(own: int, sample: Sample | None, limits: Limits) -> bool:
    """Whether one more request would run soon. `sample` is None when there is none, or it is stale.

    Router pods do not see each other's requests until the next sample. So each takes only its share of what was free
    at the last one, beyond what it had there already; without a sample, its share of all slots.
    """
    slots, peers = limits.slots, max(1, limits.peers)
    if sample is None:
        return own < math.ceil(slots / peers) if math.isfinite(slots) else True
    if sample.kv >= FULL_KV and sample.waiting > 0 and limits.max_num_seqs is not None:
        # The cache is the bound, not the sequences: as many as it runs now, whatever the route says.
        slots = min(slots, sample.running + allowance(sample.running))
    if load(own, sample) >= slots:
        return False
    if peers == 1 or not math.isfinite(slots):
        return True
    free = slots - sample.running - sample.waiting
    return own - sample.own < max(1, free // peers)
