"""The names of the family and the limits that the API itself must know; the rest about models is in the catalog."""

from typing import Literal

ModelKey = Literal["e2b", "e4b", "12b", "26b-a4b", "31b"]
Precision = Literal["bf16", "fp8", "int8", "int4", "nvfp4"]

MODEL_KEYS: tuple[ModelKey, ...] = ("e2b", "e4b", "12b", "26b-a4b", "31b")
MODEL_ALIASES: dict[str, ModelKey] = {
    **{key: key for key in MODEL_KEYS},
    "26b": "26b-a4b",
    **{f"gemma-4-{key}": key for key in MODEL_KEYS},
    **{f"gemma-4-{key}-it": key for key in MODEL_KEYS},
    **{f"google/gemma-4-{key}": key for key in MODEL_KEYS},
    **{f"google/gemma-4-{key}-it": key for key in MODEL_KEYS},
}
"""Every name of a model, in lower case."""
CONTEXT_LIMITS: dict[ModelKey, int] = {
    "e2b": 131_072,
    "e4b": 131_072,
    "12b": 262_144,
    "26b-a4b": 262_144,
    "31b": 262_144,
}
AUDIO_MODELS: tuple[ModelKey, ...] = ("e2b", "e4b", "12b")
DENIED_VLLM_VERSIONS: dict[str, str] = {
    "0.27.0": "its image bundles transformers 5.15.0 and cannot start Gemma 4",
    "0.27.1": "its image bundles transformers 5.15.0 and cannot start Gemma 4",
}
MINIMUM_VLLM_VERSION = "0.19.1"


def model_key(name: str) -> ModelKey | None:
    """The model that a known name means, `None` for `auto`; raises `KeyError` for an unknown name."""
    return None if name.lower() == "auto" else MODEL_ALIASES[name.lower()]
