"""The few facts that the API itself must know are those of the catalog."""

from gemma_operator.api.models import (
    AUDIO_MODELS,
    CONTEXT_LIMITS,
    DENIED_VLLM_VERSIONS,
    MINIMUM_VLLM_VERSION,
    MODEL_ALIASES,
    MODEL_KEYS,
)
from gemma_operator.catalog.load import load_catalog

CATALOG = load_catalog()


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def test_models_and_their_limits():
    assert set(CATALOG.models) == set(MODEL_KEYS) == set(CONTEXT_LIMITS) == set(MODEL_ALIASES.values())
    assert {key: model.context_limit for key, model in CATALOG.models.items()} == CONTEXT_LIMITS


def test_models_with_audio():
    assert {key for key, model in CATALOG.models.items() if "audio" in model.modalities} == set(AUDIO_MODELS)


def test_denied_and_oldest_engine():
    assert set(CATALOG.denied_versions["vllm"]) == set(DENIED_VLLM_VERSIONS)
    oldest = min(version(model.minimum_engine_version["vllm"]) for model in CATALOG.models.values())
    assert oldest == version(MINIMUM_VLLM_VERSION)
