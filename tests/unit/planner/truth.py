"""Whether the reason against a candidate is true, found out from the raw objects and not by the planner's checks."""

from collections.abc import Callable
from typing import Any

from gemma_operator.catalog.types import Accelerator, Checkpoint
from gemma_operator.inventory.quantity import millis, whole
from gemma_operator.planner.memory import block_size, kv_layout, overhead, usable, weights_per_gpu
from gemma_operator.planner.types import Pool, Rejection

from tests.unit.inventory.builders import GFD, Object
from tests.unit.planner.worlds import World

MINIMUM_DRIVER = 525
GPU = "nvidia.com/gpu"


class Claim:
    """One rejected candidate in its world."""

    def __init__(self, world: World, rejection: Rejection, chosen: Pool | None) -> None:
        self.world, self.rejection, self.chosen = world, rejection, chosen
        self.row: Accelerator = world.catalog.accelerators[rejection.accelerator]
        self.model = world.catalog.models[rejection.model]
        self.nodes = [n for n in world.nodes if self._carries(n)]
        self.replicas = max(1, world.spec.scaling.min)

    def _carries(self, obj: Object) -> bool:
        labels = GFD.get(self.rejection.accelerator, {"nvidia.com/gpu.product": "none"})
        return bool(obj["metadata"]["labels"].get("nvidia.com/gpu.product") == labels["nvidia.com/gpu.product"])

    def is_true(self) -> bool:
        """Whether the stated reason holds."""
        checks: dict[str, Callable[[], bool]] = {
            "EngineNotYet": lambda: self.rejection.engine == "ollama",
            "ComputeCapabilityTooLow": lambda: (self.row.compute_capability or (0, 0)) < self._needed_capability(),
            "PrecisionUnsupported": lambda: not getattr(self.row, self.rejection.precision),
            "TensorParallelUnsupported": lambda: all(
                c.maximum_tensor_parallel is not None and c.maximum_tensor_parallel < self.rejection.gpus_per_replica
                for c in self._checkpoints()
            ),
            "ContextAboveLimit": lambda: (
                max(self.world.spec.context, self.world.spec.typical_tokens) > self.model.context_limit
            ),
            "ModalityMissing": lambda: bool(self.world.spec.features.audio) and "audio" not in self.model.modalities,
            "NoSuchNode": lambda: not self.nodes,
            "WeightsTooLarge": lambda: self._no_memory("WeightsTooLarge"),
            "ContextTooLong": lambda: self._no_memory("ContextTooLong"),
            "TooFewSequences": lambda: self._no_memory("TooFewSequences"),
            "DriverTooOld": lambda: bool(self._open()) and not self._with_driver(self._open()),
            "Tainted": lambda: not self._open() and any(self._tainted(n) for n in self.nodes),
            "NodesUnavailable": lambda: not self._open() and any(self._down(n) for n in self.nodes),
            "TooExpensive": self._above_cap,
            "NodeTooSmall": lambda: self._room(free=False) == 0,
            "TooFewNodes": lambda: 0 < self._room(free=False) < self.replicas,
            "Occupied": lambda: self._room(free=True) < self.replicas <= self._room(free=False),
            "Outranked": self._not_better,
        }
        return checks[self.rejection.code]()

    def _checkpoints(self) -> list[Checkpoint]:
        wanted = (self.rejection.model, self.rejection.precision, self.rejection.engine)
        return [c for c in self.world.catalog.checkpoints if (c.model, c.precision, c.engine) == wanted]

    def _needed_capability(self) -> tuple[int, int]:
        return max((8, 0), *(c.minimum_compute_capability or (8, 0) for c in self._checkpoints()))

    def _down(self, obj: Object) -> bool:
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in obj["status"]["conditions"])
        return bool(obj["spec"].get("unschedulable")) or not ready

    def _tainted(self, obj: Object) -> bool:
        return any(taint["key"] == "team" for taint in obj["spec"].get("taints", ()))

    def _open(self) -> list[Object]:
        return [n for n in self.nodes if not self._down(n) and not self._tainted(n)]

    def _with_driver(self, nodes: list[Object]) -> list[Object]:
        return [
            n
            for n in nodes
            if int(n["metadata"]["labels"].get("nvidia.com/cuda.driver.major", 10_000)) >= MINIMUM_DRIVER
        ]

    def _settings(self) -> list[tuple[str, int]]:
        text = self.world.spec.features.images is False and not self.world.spec.features.audio
        dtypes = ["auto", "fp8"] if self.row.fp8 else ["auto"]
        return [(dtype, size) for dtype in dtypes for size in ((512, 1024, 2048, 4096) if text else (2560, 4096))]

    def _outcome(self, checkpoint: Checkpoint, dtype: str, batched: int) -> str:
        """What is short with one setting at the asked concurrency; empty: nothing."""
        spec, gpus = self.world.spec, self.rejection.gpus_per_replica
        multimodal = (spec.features.images is not False and "image" in self.model.modalities) or (
            bool(spec.features.audio) and "audio" in self.model.modalities
        )
        multimodal = multimodal and not checkpoint.text_only
        left = (
            usable(self.row, utilization=self.world.config.engine.gpu_memory_utilization)
            - weights_per_gpu(checkpoint, gpus=gpus, model=self.model, multimodal=multimodal)
            - overhead(
                self.model,
                checkpoint,
                self.row,
                gpus=gpus,
                max_num_batched_tokens=batched,
                max_num_seqs=spec.concurrency,
                multimodal=multimodal,
            )
        )
        layout = kv_layout(
            model=self.model,
            tp=gpus,
            kv_dtype=dtype,
            max_num_batched_tokens=batched,
            batches_in_flight=2,
            block_size=block_size(self.row, kv_dtype=dtype),
        )
        blocks = left // layout.bytes_per_block - 1
        if blocks < 0:
            return "WeightsTooLarge"
        if blocks < layout.blocks(spec.context):
            return "ContextTooLong"
        if blocks < spec.concurrency * layout.blocks(min(spec.typical_tokens, spec.context)):
            return "TooFewSequences"
        return ""

    def _no_memory(self, code: str) -> bool:
        """Nothing fits with any setting, and the stated shortage is that of a most frugal one."""
        outcomes = {
            (c.repository, dtype, batched): self._outcome(c, dtype, batched)
            for c in self._checkpoints()
            for dtype, batched in self._settings()
        }
        return "" not in outcomes.values() and code in outcomes.values()

    def _above_cap(self) -> bool:
        cap, price = self.world.spec.max_cost_per_hour, self.row.price_per_hour
        assert cap is not None
        assert price is not None
        return price * self.rejection.gpus_per_replica * self.replicas > cap

    def _room(self, *, free: bool) -> int:
        """Replicas that fit by GPUs, CPU, memory and storage, counted on the raw objects."""
        needs = self._needs()
        room = 0
        for obj in self._with_driver(self._open()):
            have = self._allocatable(obj)
            if free:
                for pod in self.world.pods:
                    if pod["spec"].get("nodeName") == obj["metadata"]["name"] and not pod["metadata"]["labels"]:
                        for name, amount in self._requests(pod).items():
                            have[name] = have.get(name, 0) - amount
                have[GPU] -= self._claimed(obj)
            room += max(0, min(have[name] // amount for name, amount in needs.items()))
        return room

    def _claimed(self, obj: Object) -> int:
        """GPUs that waiting pods hold here, as the inventory placed them."""
        node = next(n for n in self.world.inventory.nodes if n.name == obj["metadata"]["name"])
        bound = sum(
            self._requests(pod).get(GPU, 0) for pod in self.world.pods if pod["spec"].get("nodeName") == node.name
        )
        return self._allocatable(obj)[GPU] - bound - node.free.devices[GPU]

    def _allocatable(self, obj: Object) -> dict[str, int]:
        found = obj["status"]["allocatable"]
        return {"cpu": millis(found["cpu"])} | {
            name: whole(found[name]) for name in ("memory", "ephemeral-storage", "pods", GPU)
        }

    def _requests(self, pod: Object) -> dict[str, int]:
        asked: dict[str, Any] = pod["spec"]["containers"][0]["resources"]["requests"]
        found = {"cpu": millis(asked["cpu"]), "memory": whole(asked["memory"]), "pods": 1}
        return found | ({GPU: whole(asked[GPU])} if GPU in asked else {})

    def _needs(self) -> dict[str, int]:
        """The figures of docs/planner.md, for the cheapest checkpoint of this model and precision."""
        gib, gpus = 2**30, self.rejection.gpus_per_replica
        weights = min(c.weights_bytes for c in self._checkpoints())
        download = min(c.download_bytes for c in self._checkpoints())
        shm = gib if gpus == 1 else 4 * gib
        return {
            "cpu": 2000 + 1000 * gpus,
            "memory": -(-(4 * gib + 2 * gib * gpus + weights // 4 + shm) // gib) * gib,
            "ephemeral-storage": -(-(download * 11 // 10 + 2 * gib) // gib) * gib,
            "pods": 1,
            GPU: gpus,
        }

    def _not_better(self) -> bool:
        """The chosen pool is at least as good in what the sentence names."""
        chosen, reason = self.chosen, self.rejection.reason
        assert chosen is not None
        if "answers better" in reason:
            return self.world.catalog.models[chosen.model].quality > self.model.quality
        if "comes earlier" in reason:
            listed = self.world.spec.accelerators
            return listed.index(chosen.accelerator) < listed.index(self.rejection.accelerator)
        if "but costs" in reason:
            assert chosen.cost_per_hour is not None
            assert self.row.price_per_hour is not None
            return chosen.cost_per_hour < self.row.price_per_hour * self.rejection.gpus_per_replica
        if "more exact" in reason:
            exact = ["bf16", "fp8", "int8", "nvfp4", "int4"]
            return exact.index(chosen.precision) < exact.index(self.rejection.precision)
        if "below tokensPerSecond" in reason:
            return chosen.decode_tokens_per_second >= self.world.spec.tokens_per_second
        return "fits" in reason
