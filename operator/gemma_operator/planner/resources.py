"""CPU, memory and storage of an engine pod, derived from its checkpoint.

Inferred figures, chosen to fit the smallest cloud node that carries each GPU (one L4: 4 CPU, 16 GiB): vLLM keeps one
API process, one engine process and one worker process per GPU busy; host memory holds their Python and CUDA contexts
and, while weights load, a part of the files that is not yet on the GPU. Files that are mapped are page cache: counted,
but reclaimed under pressure.
"""

from typing import Final

from gemma_operator.catalog.types import Checkpoint
from gemma_operator.inventory.quantity import millis, whole
from gemma_operator.inventory.types import Amounts
from gemma_operator.planner.ask import Ask
from gemma_operator.planner.types import Resources

GIB: Final = 1 << 30
_CPU_BASE: Final = 2000
_CPU_PER_GPU: Final = 1000
_CPU_CPU_ONLY: Final = 6000
_HOST_BASE: Final = 4 * GIB
_HOST_PER_GPU: Final = 2 * GIB
_LOADING_SHARE: Final = 4
_SCRATCH: Final = 2 * GIB
"""Logs and compile caches."""
_WEIGHTS_MARGIN: Final = (11, 10)


def up_to_gib(size: int) -> int:
    """The size rounded up to whole GiB."""
    return -(-size // GIB) * GIB


def derived(checkpoint: Checkpoint, *, gpus: int, cached: bool, engine_bytes: int = 0) -> Resources:
    """What a replica asks of its node. `engine_bytes`: host memory of the engine itself, on a CPU."""
    on_gpu = engine_bytes == 0
    shm = GIB if gpus == 1 else 4 * GIB
    loading = checkpoint.weights_bytes // _LOADING_SHARE if on_gpu else engine_bytes
    times, over = _WEIGHTS_MARGIN
    download = 0 if cached else checkpoint.download_bytes * times // over
    return Resources(
        cpu_millis=_CPU_BASE + _CPU_PER_GPU * gpus if on_gpu else _CPU_CPU_ONLY,
        memory_bytes=up_to_gib(_HOST_BASE + _HOST_PER_GPU * gpus + loading + shm),
        ephemeral_bytes=up_to_gib(download + _SCRATCH),
        shm_bytes=shm,
    )


def resources(checkpoint: Checkpoint, ask: Ask, *, gpus: int, engine_bytes: int = 0) -> Resources:
    """What a replica asks of its node: what the spec says, else the operator's configuration, else derived."""
    own = derived(checkpoint, gpus=gpus, cached=ask.spec.weights.cache is not None, engine_bytes=engine_bytes)
    engine = ask.config.engine
    given = {**ask.spec.pod.resources.get("limits", {}), **ask.spec.pod.resources.get("requests", {})}
    cpu = given.get("cpu") or engine.cpu_request
    memory = given.get("memory") or engine.memory_request
    ephemeral = given.get("ephemeral-storage") or engine.ephemeral_storage_request
    return Resources(
        cpu_millis=millis(cpu) if cpu else own.cpu_millis,
        memory_bytes=whole(memory) if memory else own.memory_bytes,
        ephemeral_bytes=whole(ephemeral) if ephemeral else own.ephemeral_bytes,
        shm_bytes=own.shm_bytes,
    )


def amounts(needed: Resources, *, resource: str | None, gpus: int) -> Amounts:
    """One replica as the ledger counts it."""
    return Amounts(
        cpu_millis=needed.cpu_millis,
        memory=needed.memory_bytes,
        ephemeral=needed.ephemeral_bytes,
        pods=1,
        devices={resource: gpus} if resource else {},
    )
