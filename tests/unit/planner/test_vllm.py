"""The engine's command line: what a spec asks for, in flags that vLLM 0.32 knows."""

import json
from pathlib import Path
from typing import Any

import pytest
from gemma_operator.api.config import OperatorConfig

from tests.unit.inventory.builders import node
from tests.unit.planner.builders import CATALOG, inventory_of, plan_on

FLAGS = {
    line.strip()
    for line in (Path(__file__).parents[1] / "render/data/vllm-0.32.0-flags.txt").read_text().splitlines()
    if line.startswith("--")
}
H100 = inventory_of(node("h", gpu="h100", gpus=8), node("c", gpu=None))


def args(**spec: Any) -> tuple[str, ...]:
    return plan_on(H100, **spec).pools[0].args


def value(found: tuple[str, ...], flag: str) -> str:
    return next(arg.partition("=")[2] for arg in found if arg.partition("=")[0] == flag)


def test_the_whole_command_line():
    assert args(model="e4b", features={"thinking": True, "audio": True}, scaling={"drainTimeout": "1m30s"}) == (
        "google/gemma-4-E4B-it",
        "--served-model-name=chat",
        "--port=8000",
        "--max-model-len=8192",
        "--max-num-seqs=256",
        "--max-num-batched-tokens=4096",
        "--gpu-memory-utilization=0.9",
        "--tensor-parallel-size=1",
        "--enable-auto-tool-choice",
        "--tool-call-parser=gemma4",
        "--chat-template=/vllm-workspace/examples/tool_chat_template_gemma4.jinja",
        "--reasoning-parser=gemma4",
        '--default-chat-template-kwargs={"enable_thinking":true}',
        '--limit-mm-per-prompt={"audio":1,"image":4}',
        "--shutdown-timeout=90",
        "--disable-access-log-for-endpoints=/health,/metrics,/ping",
    )


SPECS: list[dict[str, Any]] = [
    {"model": model, "precision": precision, "features": features}
    for model, precisions in {
        "e2b": ("bf16", "fp8", "int4"),
        "e4b": ("bf16",),
        "12b": ("bf16", "int8", "int4"),
        "26b-a4b": ("bf16", "fp8", "int8", "int4"),
        "31b": ("bf16", "fp8", "int4"),
    }.items()
    for precision in precisions
    for features in ({}, {"tools": False, "images": False}, {"thinking": True})
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec['model']}-{spec['precision']}-{spec['features']}")
def test_every_flag_is_known_to_vllm(spec):
    found = args(**spec)
    assert not found[0].startswith("-")
    flags = [arg.partition("=")[0] for arg in found[1:]]
    assert set(flags) <= FLAGS
    assert len(flags) == len(set(flags)), "no flag twice"


def test_the_list_of_flags_is_one():
    assert {"--max-model-len", "--kv-cache-dtype"} <= FLAGS
    assert len(FLAGS) > 300


def test_features_that_are_off_leave_no_trace():
    found = args(model="31b", features={"tools": False, "images": False})
    assert "--language-model-only" in found
    for flag in ("--tool-call-parser", "--chat-template", "--limit-mm-per-prompt", "--default-chat-template-kwargs"):
        assert not [arg for arg in found if arg.startswith(flag)]


def test_audio_is_off_unless_asked_for():
    assert json.loads(value(args(model="12b"), "--limit-mm-per-prompt")) == {"audio": 0, "image": 4}
    assert json.loads(value(args(model="31b"), "--limit-mm-per-prompt")) == {"image": 4}


def test_the_users_arguments_come_last():
    assert args(model="e2b", pod={"extraArgs": ["--max-num-seqs=4", "--enforce-eager"]})[-2:] == (
        "--max-num-seqs=4",
        "--enforce-eager",
    )


def test_tensor_parallelism_and_checkpoint_arguments():
    found = args(model="26b-a4b", precision="int8")
    checkpoint = next(
        c for c in CATALOG.checkpoints if c.model == "26b-a4b" and c.precision == "int8" and c.engine_args
    )
    assert set(checkpoint.engine_args) <= set(found)
    assert value(args(model="31b", precision="bf16", context=262144), "--tensor-parallel-size") == "2"


def test_the_cpu_image_holds_no_template_and_takes_its_cache_from_the_environment():
    pool = plan_on(H100, model="e4b", accelerators=["cpu"]).pools[0]
    assert not [arg for arg in pool.args if arg.startswith("--chat-template")]
    assert "--enable-auto-tool-choice" in pool.args
    env = dict(pool.env)
    assert int(env["VLLM_CPU_KVCACHE_SPACE"]) * 2**30 >= 8 * pool.memory.kv_per_sequence // 4
    assert env["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_utilization_is_the_configurations():
    config = OperatorConfig.model_validate({"engine": {"gpuMemoryUtilization": 0.85}})
    pool = plan_on(H100, model="e2b", config=config).pools[0]
    assert value(pool.args, "--gpu-memory-utilization") == "0.85"
    assert pool.memory.usable == int(pool.memory.reported * 0.85)
