"""What vLLM refuses at its start is refused, in its words."""

from collections.abc import Callable
from pathlib import Path

import pytest
from engine_standin.checks import check_folders
from engine_standin.config import EngineConfig
from engine_standin.errors import StartFailure
from engine_standin.flags import parse
from engine_standin.settings import SettingError, read_settings

Configured = Callable[..., EngineConfig]


@pytest.mark.parametrize(
    ("flags", "kind", "words"),
    [
        (["--enable-auto-tool-choice"], "TypeError", "--enable-auto-tool-choice requires --tool-call-parser"),
        (
            ["--enable-auto-tool-choice", "--tool-call-parser=gemma9"],
            "KeyError",
            "invalid tool call parser: gemma9 (chose from {",
        ),
        (["--reasoning-parser=gemma9"], "KeyError", "invalid reasoning parser: gemma9"),
        (["--chat-template=/no/such.jinja"], "VLLMValidationError", "appears path-like, but doesn't exist!"),
        (["--max-model-len=999999"], "ValidationError", "User-specified max_model_len (999999) is greater"),
        (["--tensor-parallel-size=3"], "ValueError", "attention heads (8) must be divisible by tensor parallel"),
        (
            ["--max-num-batched-tokens=2048"],
            "ValueError",
            "max_tokens_per_mm_item (2496) is larger than max_num_batched_tokens (2048)",
        ),
        (
            ["--max-num-batched-tokens=512", "--language-model-only", "--max-num-seqs=600"],
            "ValidationError",
            "max_num_batched_tokens (512) must be greater than or equal to max_num_seqs (600).",
        ),
        (
            ["--max-num-batched-tokens=4096", "--no-enable-chunked-prefill"],
            "ValidationError",
            "max_num_batched_tokens (4096) is smaller than max_model_len (131072).",
        ),
        (["--grpc"], "NotImplementedError", "not done by the engine stand-in"),
    ],
)
def test_flags_that_cannot_work(configured: Configured, flags: list[str], kind: str, words: str) -> None:
    with pytest.raises(StartFailure) as failure:
        configured(*flags)
    assert words in str(failure.value)
    assert failure.value.kind.endswith(kind)


def test_templates_of_the_image_are_there(configured: Configured) -> None:
    template = "/vllm-workspace/examples/tool_chat_template_gemma4.jinja"
    assert configured(f"--chat-template={template}").args.chat_template == template
    with pytest.raises(StartFailure, match="path-like"):
        configured("--chat-template=/vllm-workspace/tool_chat_template_gemma4.jinja")


def test_context_that_the_cache_cannot_hold(configured: Configured) -> None:
    with pytest.raises(StartFailure) as failure:
        configured("--max-model-len=8192", "--max-num-batched-tokens=4096", STANDIN_KV_TOKENS="8000")
    assert "To serve at least one request with the model's max seq len (8192), (0.05 GiB KV" in str(failure.value)
    assert "estimated maximum model length is 8000." in str(failure.value)
    assert failure.value.in_engine


def test_no_cache_at_all(configured: Configured) -> None:
    with pytest.raises(StartFailure, match="No available memory for the cache blocks"):
        configured("--max-num-batched-tokens=4096", STANDIN_KV_TOKENS="0")


def test_auto_context_takes_what_fits(configured: Configured) -> None:
    config = configured("--max-model-len=auto", "--max-num-batched-tokens=4096", STANDIN_KV_TOKENS="5000")
    assert config.max_model_len == 5000


def test_small_batch_is_fine_without_large_items(configured: Configured) -> None:
    limits = '--limit-mm-per-prompt={"video": 0}'
    assert configured("--max-num-batched-tokens=2048", limits).max_num_batched_tokens == 2048
    assert configured("--max-num-batched-tokens=2048", "--language-model-only").media_limits == {}


def test_default_batch_holds_one_item(configured: Configured) -> None:
    assert configured().max_num_batched_tokens == 2496


def test_fewer_gpus_than_ranks(configured: Configured) -> None:
    with pytest.raises(StartFailure, match=r"World size \(2\) is larger than the number of available GPUs \(1\)"):
        configured("--tensor-parallel-size=2", STANDIN_GPUS="1")


def test_home_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StartFailure) as failure:
        check_folders(parse(["m"]), env={"HOME": str(blocked)})
    assert failure.value.kind == "OSError"


def test_shared_memory_is_wanted_only_for_several_gpus(tmp_path: Path) -> None:
    none = tmp_path / "none"
    check_folders(parse(["m"]), env={"HOME": str(tmp_path)}, shm=none)
    with pytest.raises(StartFailure, match="Insufficient space in /dev/shm"):
        check_folders(parse(["m", "-tp", "2"]), env={"HOME": str(tmp_path)}, shm=none)


def test_a_path_that_is_no_model(configured: Configured) -> None:
    with pytest.raises(StartFailure, match="Invalid repository ID or local directory specified: '/none'"):
        configured(model="/none")


@pytest.mark.parametrize(
    "env", [{"STANDIN_KV_TOKEN": "1"}, {"STANDIN_KV_TOKENS": "x"}, {"STANDIN_TOKENS_PER_SECOND": "0"}]
)
def test_wrong_settings_are_named(env: dict[str, str]) -> None:
    with pytest.raises(SettingError, match=next(iter(env))):
        read_settings(env)
