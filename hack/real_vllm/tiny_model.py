"""A random Gemma 4 of ten kilobytes: configuration and byte-level tokenizer, no weights.

`vllm serve DIR --load-format dummy` fills the weights with random numbers: the answers are noise, but the HTTP
surface, flags, memory arithmetic, metrics and signals are the engine's own. Small enough for a ConfigMap.
"""

import json
from pathlib import Path

SPECIAL = (
    *("<pad>", "<eos>", "<bos>", "<unk>"),
    *("<turn|>", "<|turn>", "<|channel>", "<channel|>", "<|think|>", '<|"|>'),
    *("<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>"),
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|turn>{{ message['role'] }}\n{{ message['content'] }}<turn|>\n"
    "{% endfor %}<|turn>model\n"
)


def write_tiny_model(target: Path, *, max_context: int = 8192) -> Path:
    """Write the model's files into `target` and return it; `max_context` is the context limit in tokens."""
    target.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *sorted(_byte_letters())])}
    (target / "tokenizer.json").write_text(json.dumps(_tokenizer(vocabulary)))
    (target / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "pad_token": "<pad>",
                "eos_token": "<eos>",
                "bos_token": "<bos>",
                "unk_token": "<unk>",
                "model_max_length": max_context,
                "clean_up_tokenization_spaces": False,
            }
        )
    )
    (target / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    (target / "config.json").write_text(json.dumps(_config(len(vocabulary), max_context)))
    return target


def _byte_letters() -> list[str]:
    """Return the 256 letters that byte-level BPE writes bytes with: printable Latin-1, the rest from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (chr(0x100 + index) for index in range(256 - len(printable)))
    return [chr(byte) if byte in printable else next(others) for byte in range(256)]


def _tokenizer(vocabulary: dict[str, int]) -> dict[str, object]:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocabulary[token],
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in SPECIAL
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": False,
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [],
        },
    }


def _config(vocabulary: int, max_context: int) -> dict[str, object]:
    """Return a six-layer text model, sliding and global layers in the family's order."""
    padded = -(-vocabulary // 64) * 64
    return {
        "architectures": ["Gemma4ForCausalLM"],
        "model_type": "gemma4_text",
        "dtype": "float32",
        "vocab_size": padded,
        "vocab_size_per_layer_input": padded,
        "hidden_size": 64,
        "hidden_size_per_layer_input": 0,
        "intermediate_size": 128,
        "num_hidden_layers": 6,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "global_head_dim": 64,
        "num_kv_shared_layers": 0,
        "sliding_window": 512,
        "max_position_embeddings": max_context,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
