"""Estimated decode speed. An estimate, shown as one, used only to rank.

A decode step streams the weights that the batch touches and the KV cache of every running request through the GPU's
memory; compute is not the limit at the batch sizes the planner promises. Efficiencies are fitted to published runs
(see docs/planner.md): dense 0.70 of the bandwidth, mixture of experts 0.30.
"""

from typing import Final

from gemma_operator.catalog.types import Accelerator, Checkpoint, Model

_DENSE_EFFICIENCY: Final = 0.70
_EXPERTS_EFFICIENCY: Final = 0.30
_LINK_EFFICIENCY: Final = {"nvlink": 0.90, "infinity fabric": 0.90}
_BUS_EFFICIENCY: Final = 0.75
"""Per doubling of the tensor parallel group."""


def _weights_read(model: Model, checkpoint: Checkpoint, *, batch: int) -> float:
    """Bytes of weights that one step of a batch streams: with experts, the more requests, the more experts."""
    active = float(checkpoint.bytes_read_per_token)
    experts, chosen = model.architecture.experts, model.architecture.experts_per_token
    if not experts or active >= checkpoint.weights_bytes:
        return active
    share = chosen / experts
    all_experts = (checkpoint.weights_bytes - active) / (1 - share)
    always = max(active - all_experts * share, 0.0)
    return always + all_experts * float(1 - (1 - share) ** batch)


def decode_tokens_per_second(
    model: Model, checkpoint: Checkpoint, accelerator: Accelerator, *, gpus: int, batch: int, kv_read: int
) -> float:
    """Tokens per second of one request while `batch` requests run; `kv_read`: KV bytes per request, over all GPUs."""
    efficiency = _EXPERTS_EFFICIENCY if model.architecture.experts else _DENSE_EFFICIENCY
    link = next(
        (value for name, value in _LINK_EFFICIENCY.items() if accelerator.interconnect.lower().startswith(name)),
        _BUS_EFFICIENCY,
    )
    doublings = gpus.bit_length() - 1
    streamed = _weights_read(model, checkpoint, batch=batch) + float(batch) * kv_read
    return round(accelerator.bandwidth * gpus * efficiency * link**doublings / streamed, 2)
