"""Random clusters and specs for the invariants of the planner."""

from dataclasses import dataclass, field, replace
from typing import Any

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.types import Catalog
from gemma_operator.inventory.types import Inventory
from gemma_operator.planner.order import Rank, rank
from gemma_operator.planner.plan import plan
from gemma_operator.planner.types import Plan
from hypothesis import strategies as st

from tests.unit.inventory.builders import GFD, Object, node, pod
from tests.unit.planner.builders import CATALOG, inventory_of, spec_of

TEAM = {"key": "team", "value": "vision", "effect": "NoSchedule"}
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


@dataclass(frozen=True, kw_only=True, repr=False)
class World:
    """A cluster, a spec, and the configuration."""

    nodes: tuple[Object, ...]
    pods: tuple[Object, ...]
    fields: dict[str, Any]
    config: OperatorConfig = field(default_factory=OperatorConfig)
    catalog: Catalog = CATALOG

    def __repr__(self) -> str:
        """Short enough for the report of a failure."""
        nodes = [
            {
                "name": each["metadata"]["name"],
                "product": each["metadata"]["labels"].get("nvidia.com/gpu.product"),
                "driver": each["metadata"]["labels"].get("nvidia.com/cuda.driver.major"),
                "ready": each["status"]["conditions"][-1]["status"],
                **each["spec"],
                **each["status"]["allocatable"],
            }
            for each in self.nodes
        ]
        pods = [
            (each["metadata"]["name"], each["spec"]["containers"][0]["resources"]["requests"]) for each in self.pods
        ]
        return f"World({self.fields}, nodes={nodes}, pods={pods})"

    @property
    def spec(self) -> GemmaDeploymentSpec:
        """What is asked for."""
        return spec_of(**self.fields)

    @property
    def inventory(self) -> Inventory:
        """What is there."""
        return inventory_of(*self.nodes, pods=self.pods, config=self.config, catalog=self.catalog)

    def plan(self, *, inventory: Inventory | None = None, name: str = "chat") -> Plan:
        """The plan of this world."""
        return plan(
            spec=self.spec,
            name=name,
            namespace="default",
            inventory=inventory or self.inventory,
            catalog=self.catalog,
            config=self.config,
        )

    def rank(self, made: Plan) -> Rank:
        """How good the chosen pool is."""
        (pool,) = made.pools
        listed = self.spec.accelerators
        return rank(
            pool,
            quality=self.catalog.models[pool.model].quality,
            preference=listed.index(pool.accelerator) if listed else 0,
            floor=self.spec.tokens_per_second,
        )

    def with_nodes(self, *nodes: Object) -> "World":
        """With other nodes."""
        return replace(self, nodes=tuple(nodes))


def nodes(*, plain: bool = False) -> st.SearchStrategy[tuple[Object, ...]]:
    """Up to four nodes; `plain` ones are up, untainted and roomy."""
    kinds = st.sampled_from(sorted(GFD))
    counts = st.sampled_from([1, 2, 4, 8])
    if plain:
        made = st.builds(lambda gpu, gpus: {"gpu": gpu, "gpus": gpus}, kinds, counts)
    else:
        made = st.fixed_dictionaries(
            {
                "gpu": kinds,
                "gpus": counts,
                "cpu": st.sampled_from(["2", "16", "96"]),
                "memory": st.sampled_from(["12Gi", "64Gi", "760Gi"]),
                "storage": st.sampled_from(["20Gi", "1800Gi"]),
                "taints": st.sampled_from([None, [GPU_TAINT], [TEAM]]),
                "cordoned": st.sampled_from([False, False, False, True]),
                "ready": st.sampled_from([True, True, True, False]),
                "driver": st.sampled_from([None, 470, 560, 590]),
            }
        )
    return st.lists(made, min_size=0 if not plain else 1, max_size=4).map(
        lambda options: tuple(node(f"n{number}", **option) for number, option in enumerate(options))
    )


@st.composite
def worlds(draw: st.DrawFn, *, plain: bool = False, waiting: bool = True) -> World:
    """A cluster with bound pods, own pods, and unless told otherwise pods that wait for GPUs."""
    cluster = draw(nodes(plain=plain))
    pods = []
    for each in cluster:
        name, total = each["metadata"]["name"], int(each["status"]["allocatable"]["nvidia.com/gpu"])
        others = draw(st.integers(0, total))
        own = draw(st.integers(0, total - others)) if draw(st.booleans()) else 0
        pods += [pod(f"other-{name}", on=name, gpus=others)] if others else []
        pods += [pod(f"own-{name}", on=name, gpus=own, deployment="chat")] if own else []
    if waiting:
        asked = draw(st.lists(st.sampled_from([1, 2, 4]), max_size=2))
        pods += [pod(f"waiting-{number}", gpus=gpus) for number, gpus in enumerate(asked)]
    return World(nodes=cluster, pods=tuple(pods), fields=draw(specs()))


def specs() -> st.SearchStrategy[dict[str, Any]]:
    """Specs that the API takes."""
    fields = st.fixed_dictionaries(
        {
            "model": st.sampled_from(["auto", "auto", "e2b", "e4b", "12b", "26b-a4b", "31b"]),
            "precision": st.sampled_from(["auto", "auto", "bf16", "fp8", "int4"]),
            "context": st.sampled_from([512, 8192, 65536, 131072]),
            "typicalTokens": st.sampled_from([256, 2048, 16384]),
            "concurrency": st.sampled_from([1, 8, 64]),
            "tokensPerSecond": st.sampled_from([0, 10, 60]),
            "accelerators": st.sampled_from([[], [], ["h100", "l4"], ["l4", "b200"], ["a100-40"]]),
            "scaling": st.sampled_from([{"min": 0}, {"min": 1}, {"min": 3}]),
            "features": st.sampled_from([{}, {}, {"images": False}, {"audio": True}]),
        }
    )
    cap = st.sampled_from([None, None, 0.5, 5.0, 30.0])

    def with_cap(made: dict[str, Any], value: float | None) -> dict[str, Any]:
        return made if value is None else {**made, "maxCostPerHour": value}

    return st.builds(with_cap, fields, cap).filter(_audible)


def _audible(fields: dict[str, Any]) -> bool:
    """The API refuses audio for the models that have none."""
    return not (fields["features"].get("audio") and fields["model"] in ("26b-a4b", "31b"))
