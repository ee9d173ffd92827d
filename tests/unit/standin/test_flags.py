"""The command line: every flag of vLLM 0.32 is known, nothing else, and the words are argparse's."""

import pytest
from engine_standin.flags import flag_table, not_default, parse


def options() -> set[str]:
    return {option for row in flag_table() for option in row["options"]}


def test_the_flags_that_the_operator_renders_are_known() -> None:
    rendered = {
        "--served-model-name",
        "--max-model-len",
        "--max-num-seqs",
        "--max-num-batched-tokens",
        "--gpu-memory-utilization",
        "--tensor-parallel-size",
        "--kv-cache-dtype",
        "--limit-mm-per-prompt",
        "--language-model-only",
        "--enable-auto-tool-choice",
        "--tool-call-parser",
        "--reasoning-parser",
        "--shutdown-timeout",
        "--disable-access-log-for-endpoints",
        "--default-chat-template-kwargs",
        "--async-scheduling",
    }
    assert rendered <= options()
    assert len(options()) > 400


@pytest.mark.parametrize("command", [["serve", "m"], ["m"]])
def test_container_args_may_begin_with_the_model(command: list[str]) -> None:
    assert parse([*command, "--port=1234"]).model_tag == "m"


def test_values_are_read_as_vllm_reads_them() -> None:
    args = parse(
        [
            "m",
            "--max_model_len",
            "8k",
            "--max-num-batched-tokens=4K",
            "--limit-mm-per-prompt.image=4",
            "--limit-mm-per-prompt.audio",
            "0",
            "-tp",
            "2",
            "--served-model-name",
            "a",
            "b",
            "--no-enable-prefix-caching",
            "--default-chat-template-kwargs",
            '{"enable_thinking": true}',
        ]
    )
    assert args.max_model_len == 8000
    assert args.max_num_batched_tokens == 4096
    assert args.limit_mm_per_prompt == {"image": 4, "audio": 0}
    assert args.tensor_parallel_size == 2
    assert args.served_model_name == ["a", "b"]
    assert args.enable_prefix_caching is False
    assert args.default_chat_template_kwargs == {"enable_thinking": True}


def test_model_flag_is_moved_to_the_front() -> None:
    assert parse(["serve", "--port=1", "--model", "m"]).model_tag == "m"
    assert parse(["serve", "--model=m", "--port=1"]).port == 1


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--no-such-flag=1", "vllm: error: unrecognized arguments: --no-such-flag=1"),
        ("--max-num-seqs=many", "vllm serve: error: argument --max-num-seqs: invalid int value: 'many'"),
        (
            "--max-model-len=long",
            "argument --max-model-len: invalid human_readable_int_or_auto value: 'long'",
        ),
        ("--max-num-batched-tokens=2.5K", "Decimals are not allowed with binary suffixes like K."),
        ("--kv-cache-dtype=fp9", "argument --kv-cache-dtype: invalid choice: 'fp9'"),
        ("--limit-mm-per-prompt=x", "argument --limit-mm-per-prompt: Value x cannot be converted to"),
        ("--task=embed", "Hint: --task is not a vllm serve option."),
    ],
)
def test_wrong_flags_end_with_2(flag: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["m", flag])
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_secrets_are_not_printed() -> None:
    changed = not_default(parse(["m", "--api-key", "sk-secret", "--port=1"]))
    assert changed["api_key"] == "***"
    assert changed["port"] == 1
    assert "gpu_memory_utilization" not in changed
