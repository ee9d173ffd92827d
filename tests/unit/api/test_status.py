"""Status takes the plan's own values and reads back from the API server as it was written."""

from datetime import UTC, datetime

from gemma_operator.api.status import MAX_SENTENCE, Condition, GemmaDeploymentStatus, Phase, PoolStatus
from gemma_operator.planner.types import Memory, Pool, Resources, Supply

POOL = Pool(
    model="12b",
    checkpoint="google/gemma-4-12B-it-qat-w4a16",
    precision="int4",
    engine="vllm",
    engine_version="0.32.0",
    image="vllm/vllm-openai:v0.32.0",
    accelerator="l4",
    resource="nvidia.com/gpu",
    gpus_per_replica=1,
    replicas=1,
    supply=Supply.FREE,
    max_model_len=8192,
    max_num_seqs=16,
    max_num_batched_tokens=4096,
    kv_cache_dtype="auto",
    gpu_memory_utilization=0.9,
    kv_cache_tokens=100_000,
    sequences_typical=40,
    sequences_full=12,
    memory=Memory(reported=24, usable=21, weights=8, overhead=3, kv_cache=10, kv_per_sequence=1),
    resources=Resources(cpu_millis=4000, memory_bytes=16, ephemeral_bytes=20),
    node_selector_terms=(),
    tolerations=(),
    args=("google/gemma-4-12B-it",),
    env=(),
    decode_tokens_per_second=30.5,
    cost_per_hour=0.71,
    cost_per_million_tokens=None,
    weights_bytes=9,
    inferred=("bandwidth",),
)


def test_a_pool_of_the_plan_becomes_status_without_what_belongs_to_manifests():
    shown = PoolStatus.model_validate(POOL).to_dict()
    assert shown["supply"] == "Free"
    assert shown["maxModelLen"] == 8192
    assert shown["memory"]["kvPerSequence"] == 1
    assert "costPerMillionTokens" not in shown
    assert not {"args", "nodeSelectorTerms", "tolerations", "env"} & set(shown)
    assert PoolStatus.model_validate(shown).to_dict() == shown


def test_times_are_written_as_kubernetes_writes_them():
    condition = Condition(
        type="Ready",
        status="True",
        reason="Serving",
        message="x",
        last_transition_time=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    )
    assert condition.to_dict()["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert Condition.model_validate(condition.to_dict()).to_dict() == condition.to_dict()


def test_a_sentence_too_long_is_cut_and_never_refused():
    condition = Condition.model_validate(
        {
            "type": "Ready",
            "status": "False",
            "reason": "X",
            "message": "m" * 9000,
            "lastTransitionTime": datetime.now(UTC),
        }
    )
    assert len(condition.message) == MAX_SENTENCE
    assert condition.message.endswith("…")


def test_unset_fields_are_left_out():
    assert GemmaDeploymentStatus(phase=Phase.PENDING).to_dict() == {"phase": "Pending"}
