"""What is set by STANDIN_… environment variables: speed, memory and moods. Flags are vLLM's own."""

from collections.abc import Mapping
from dataclasses import dataclass


class SettingError(ValueError):
    """An environment variable of the stand-in has a value that makes no sense."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the made-up engine behaves.

    `tokens_per_second` is the decode speed of one request alone; with `n` requests in the batch each gets
    `tokens_per_second / (1 + batch_slowdown * (n - 1))`. `output_tokens` is where an answer ends by itself.
    `kv_tokens` is the size of the KV cache; without it the flags decide (see `config.kv_tokens`).
    `gpus`, when given, is how many GPUs the process can see.
    """

    startup_seconds: float = 0.0
    kv_tokens: int | None = None
    tokens_per_second: float = 60.0
    batch_slowdown: float = 0.02
    prefill_tokens_per_second: float = 8000.0
    output_tokens: int = 48
    gpus: int | None = None
    mood: str = ""
    admin: bool = False


def _number(env: Mapping[str, str], name: str, *, default: float, least: float) -> float:
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise SettingError(f"{name}={text!r} is not a number") from None
    if not value >= least:
        raise SettingError(f"{name}={text} must be at least {least:g}")
    return value


def _whole(env: Mapping[str, str], name: str, *, least: int) -> int | None:
    text = env.get(name, "")
    if not text:
        return None
    if not text.isdecimal() or int(text) < least:
        raise SettingError(f"{name}={text!r} must be a whole number, at least {least}")
    return int(text)


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read STANDIN_… from `env`; an unknown or malformed one raises `SettingError`."""
    known = {
        "STARTUP_SECONDS",
        "KV_TOKENS",
        "TOKENS_PER_SECOND",
        "BATCH_SLOWDOWN",
        "PREFILL_TOKENS_PER_SECOND",
        "OUTPUT_TOKENS",
        "GPUS",
        "MOOD",
        "ADMIN",
    }
    for name in env:
        if name.startswith("STANDIN_") and name.removeprefix("STANDIN_") not in known:
            raise SettingError(f"{name} is not known; known are STANDIN_ + {', '.join(sorted(known))}")
    base = Settings()
    admin = env.get("STANDIN_ADMIN", "")
    if admin not in ("", "0", "1"):
        raise SettingError(f"STANDIN_ADMIN={admin!r} must be 0 or 1")
    return Settings(
        startup_seconds=_number(env, "STANDIN_STARTUP_SECONDS", default=base.startup_seconds, least=0),
        kv_tokens=_whole(env, "STANDIN_KV_TOKENS", least=0),
        tokens_per_second=_number(env, "STANDIN_TOKENS_PER_SECOND", default=base.tokens_per_second, least=0.01),
        batch_slowdown=_number(env, "STANDIN_BATCH_SLOWDOWN", default=base.batch_slowdown, least=0),
        prefill_tokens_per_second=_number(
            env, "STANDIN_PREFILL_TOKENS_PER_SECOND", default=base.prefill_tokens_per_second, least=1
        ),
        output_tokens=_whole(env, "STANDIN_OUTPUT_TOKENS", least=1) or base.output_tokens,
        gpus=_whole(env, "STANDIN_GPUS", least=0),
        mood=env.get("STANDIN_MOOD", ""),
        admin=admin == "1",
    )
