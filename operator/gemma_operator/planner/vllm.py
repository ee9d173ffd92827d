"""The command line of vLLM for a pool. Every flag is one of vLLM 0.32's own parser (checked in the tests).

Sources: vllm-project/recipes (Gemma 4: parsers, chat template, multimodal limits), vLLM's own help.
"""

import json
from typing import Any, Final

from gemma_operator.api import names
from gemma_operator.api.spec import seconds
from gemma_operator.catalog.types import Checkpoint, Model
from gemma_operator.planner.ask import Ask
from gemma_operator.planner.candidates import Candidate
from gemma_operator.planner.fit import Fit
from gemma_operator.planner.text import GIB
from gemma_operator.planner.types import Resources

CHAT_TEMPLATES: Final = {
    "nvidia": "/vllm-workspace/examples/tool_chat_template_gemma4.jinja",
    "amd": "/app/vllm/examples/tool_chat_template_gemma4.jinja",
}
"""Where images keep the recipes' template (vLLM's docker/Dockerfile and Dockerfile.rocm). The CPU image has no
examples, and a missing file ends the start: there the template of the checkpoint itself serves."""
_IMAGES: Final = 4
_AUDIO: Final = 1
_QUIET: Final = "/health,/metrics,/ping"


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _modalities(model: Model, checkpoint: Checkpoint, ask: Ask) -> list[str]:
    if model.modalities == ("text",) or checkpoint.text_only:
        return []
    if not ask.multimodal(model, checkpoint):
        return ["--language-model-only"]
    limits = {"image": _IMAGES if ask.images(model, checkpoint) else 0}
    if "audio" in model.modalities:
        limits["audio"] = _AUDIO if ask.audio(model, checkpoint) else 0
    return [f"--limit-mm-per-prompt={_json(limits)}"]


def _features(ask: Ask, *, vendor: str) -> list[str]:
    features = ask.spec.features
    args = []
    if features.tools:
        args += ["--enable-auto-tool-choice", "--tool-call-parser=gemma4"]
        if template := CHAT_TEMPLATES.get(vendor):
            args.append(f"--chat-template={template}")
    args.append("--reasoning-parser=gemma4")
    if features.thinking:
        args.append(f"--default-chat-template-kwargs={_json({'enable_thinking': True})}")
    return args


def arguments(candidate: Candidate, fit: Fit, ask: Ask) -> tuple[str, ...]:
    """Arguments of the engine container, the model first; the user's own come last and win."""
    model, checkpoint = candidate.model, candidate.checkpoint
    args = [
        checkpoint.repository,
        f"--served-model-name={ask.name}",
        f"--port={names.ENGINE_PORT}",
        f"--max-model-len={fit.max_model_len}",
        f"--max-num-seqs={fit.max_num_seqs}",
        f"--max-num-batched-tokens={fit.max_num_batched_tokens}",
        f"--gpu-memory-utilization={fit.utilization:g}",
        f"--tensor-parallel-size={candidate.gpus}",
    ]
    if fit.kv_cache_dtype != "auto":
        args.append(f"--kv-cache-dtype={fit.kv_cache_dtype}")
    args += checkpoint.engine_args
    args += _features(ask, vendor=candidate.row.accelerator.vendor)
    args += _modalities(model, checkpoint, ask)
    args += [
        f"--shutdown-timeout={seconds(ask.spec.scaling.drain_timeout)}",
        f"--disable-access-log-for-endpoints={_QUIET}",
    ]
    return (*args, *ask.spec.pod.extra_args)


def environment(fit: Fit, needed: Resources, *, cpu: bool) -> tuple[tuple[str, str], ...]:
    """Variables that the plan decides. On a CPU: the KV cache in GiB, and threads that no pod pins to core 0."""
    if not cpu:
        return ()
    return (
        ("OMP_NUM_THREADS", str(max(1, needed.cpu_millis // 1000))),
        ("VLLM_CPU_ATTN_SPLIT_KV", "0"),
        ("VLLM_CPU_KVCACHE_SPACE", str(fit.memory.kv_cache // GIB)),
        ("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
    )
