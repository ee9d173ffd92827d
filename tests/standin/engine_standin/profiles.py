"""What the stand-in knows about a model from its name or its config.json: no weights are read."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from engine_standin.errors import StartFailure
from engine_standin.tokens import VOCABULARY

# Tokens of one item at the defaults of vLLM 0.32 for Gemma 4: a video is 32 frames of 70 + 8 tokens.
IMAGE_TOKENS = 280
AUDIO_TOKENS = 750
VIDEO_TOKENS = 2496
_BYTE_LEVEL = 1024


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """Architecture: the longest context in tokens, query heads, bytes of KV per token, tokens per media item.

    `token_chars` is the length of a token in characters: 1 for byte-level vocabularies of tiny test models.
    """

    architecture: str
    context: int
    heads: int
    kv_bytes_per_token: int
    media: dict[str, int] = field(default_factory=dict)
    token_chars: int = 4


_VISION = {"image": IMAGE_TOKENS, "video": VIDEO_TOKENS}
_ALL = {**_VISION, "audio": AUDIO_TOKENS}
_GEMMA = "Gemma4ForConditionalGeneration"
_KNOWN: tuple[tuple[str, ModelProfile], ...] = (
    (r"e2b", ModelProfile(_GEMMA, 131_072, 8, 6_144, _ALL)),
    (r"e4b", ModelProfile(_GEMMA, 131_072, 8, 16_384, _ALL)),
    (r"12b", ModelProfile(_GEMMA, 262_144, 16, 16_384, _ALL)),
    (r"26b", ModelProfile(_GEMMA, 262_144, 16, 20_480, _VISION)),
    (r"31b", ModelProfile(_GEMMA, 262_144, 32, 81_920, _VISION)),
)
_OTHER = ModelProfile("LlamaForCausalLM", 131_072, 32, 131_072)
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?\Z")


def _local(path: Path) -> ModelProfile:
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config", config)
    layers = int(text.get("num_hidden_layers", 32))
    kv_heads = int(text.get("num_key_value_heads", 8))
    head = int(text.get("head_dim", 128))
    media: dict[str, int] = {}
    if "vision_config" in config:
        media |= _VISION
    if "audio_config" in config:
        media["audio"] = AUDIO_TOKENS
    return ModelProfile(
        architecture=str((config.get("architectures") or ["LlamaForCausalLM"])[0]),
        context=int(text.get("max_position_embeddings", 8192)),
        heads=int(text.get("num_attention_heads", 32)),
        kv_bytes_per_token=2 * 2 * layers * kv_heads * head,
        media=media,
        token_chars=1 if int(text.get("vocab_size", VOCABULARY)) <= _BYTE_LEVEL else 4,
    )


def profile_of(model: str) -> ModelProfile:
    """Return what is known about `model`: a folder with a config.json, or a repository id on Hugging Face.

    A repository id stands for weights that are there. Raises `StartFailure` for anything else.
    """
    path = Path(model)
    if (path / "config.json").is_file():
        return _local(path)
    if not _REPOSITORY.match(model):
        raise StartFailure(
            f"Invalid repository ID or local directory specified: '{model}'.\n"
            "Please verify the following requirements:\n"
            "1. Provide a valid Hugging Face repository ID.\n"
            "2. Specify a local directory that contains a recognized configuration file.\n"
            "   - For Hugging Face models: ensure the presence of a 'config.json'.\n"
            "   - For Mistral models: ensure the presence of a 'params.json'.\n"
        )
    name = model.lower()
    for pattern, profile in _KNOWN:
        if "gemma" in name and re.search(rf"(?<![a-z0-9]){pattern}(?![a-z0-9])", name):
            return profile
    return _OTHER
