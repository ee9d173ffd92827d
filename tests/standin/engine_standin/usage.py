"""Token counts in answers, and when the next chunk of a stream is due."""

import argparse
from dataclasses import dataclass
from typing import Any

from engine_standin.engine import Progress
from engine_standin.requests import Generation


def usage(prompt: int, completion: int, *, cached: int | None, reasoning: int | None) -> dict[str, Any]:
    """Return the `usage` object. `cached` and `reasoning` are shown only where vLLM shows them."""
    details = None
    if cached is not None:
        details = {"cached_tokens": cached, "created_cache_tokens": None, "multimodal_tokens": None}
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": None if reasoning is None else {"reasoning_tokens": reasoning},
    }


def running(total: dict[str, Any]) -> dict[str, Any]:
    """Return `usage` as it stands in every chunk of a stream: without the details of the prompt."""
    return {key: value for key, value in total.items() if key != "prompt_tokens_details"}


@dataclass(frozen=True, slots=True)
class StreamRules:
    """What a stream tells beside the tokens: usage at its end, usage in every chunk, tokens per chunk."""

    usage_last: bool
    usage_always: bool
    interval: int

    def due(self, sent: int, progress: Progress) -> bool:
        """Tell whether enough tokens came since the last chunk; the first and the last are always sent."""
        return bool(progress.finished) or sent == 0 or progress.emitted - sent >= self.interval


def stream_rules(request: Generation, args: argparse.Namespace) -> StreamRules:
    """Return the rules that a request and the flags make together."""
    options, force = request.stream_options, bool(args.enable_force_include_usage)
    last = force or bool(options and options.include_usage)
    return StreamRules(
        usage_last=last,
        usage_always=force or (last and bool(options and options.continuous_usage_stats)),
        interval=max(args.stream_interval or 1, request.stream_interval or 1),
    )
