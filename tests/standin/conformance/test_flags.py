"""Command lines that are refused: exit code, and a last line that says why."""

import pytest
from conformance.conftest import FLAGS
from conformance.engines import Kind, refused


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--no-such-flag=1", "vllm: error: unrecognized arguments: --no-such-flag=1"),
        ("--max-num-seqs=many", "vllm serve: error: argument --max-num-seqs: invalid int value: 'many'"),
        ("--kv-cache-dtype=fp9", "vllm serve: error: argument --kv-cache-dtype: invalid choice: 'fp9'"),
    ],
)
def test_argument_errors_exit_with_2(kind: Kind, flag: str, message: str) -> None:
    code, output = refused(kind, [*FLAGS, flag])
    assert code == 2
    assert output.splitlines()[-1].startswith(message)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--max-model-len=99999", "User-specified max_model_len (99999) is greater than the derived max_model_len"),
        ("--kv-cache-memory-bytes=1000000", "To serve at least one request with the model's max seq len (8192)"),
        ("--tool-call-parser=gemma9", "invalid tool call parser: gemma9"),
        ("--chat-template=/vllm-workspace/none.jinja", "appears path-like, but doesn't exist!"),
    ],
)
def test_what_cannot_work_exits_with_1(kind: Kind, flag: str, message: str) -> None:
    code, output = refused(kind, [*FLAGS, flag])
    assert code == 1
    assert message in output
