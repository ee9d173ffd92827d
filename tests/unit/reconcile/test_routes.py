"""What a router is told of a deployment: limits of engines of any age, and whether anybody starts one."""

from typing import Any

import pytest
from gemma_operator.api import names
from gemma_operator.cluster.resources import DEPLOYMENTS, GEMMA_DEPLOYMENTS, PODS
from gemma_operator.reconcile.aliases import users
from gemma_operator.reconcile.kept import kept_plan
from gemma_operator.reconcile.limits import own_limit
from gemma_operator.reconcile.router import routes
from gemma_operator.render.types import Route

from tests.unit.inventory.builders import pod
from tests.unit.reconcile.looks import Cluster


def engine(name: str, *args: str, terminating: bool = False, phase: str = "Running") -> dict[str, Any]:
    """An engine pod as the API server gives it."""
    made = pod(name, on="a", gpus=1, deployment="chat", phase=phase, terminating=terminating)
    made["metadata"]["labels"][names.MANAGED_BY_LABEL] = names.MANAGER
    made["metadata"] |= {"uid": name, "resourceVersion": "1"}
    made["spec"]["containers"][0] |= {"name": names.ENGINE_CONTAINER, "args": ["google/gemma", *args]}
    return made


def route(cluster: Cluster) -> Route:
    """The route of its only deployment."""
    served = users(cluster.world.stores[GEMMA_DEPLOYMENTS], namespace="default", router="gemma-router")
    [found] = routes(cluster.world, served)
    return found


def planned(cluster: Cluster) -> int:
    """Requests that a replica of the plan runs at once."""
    [deployment] = cluster.world.stores[DEPLOYMENTS]
    kept = kept_plan(deployment)
    assert kept is not None
    return kept.pool.max_num_seqs


def test_during_a_rollout_engines_get_what_the_smallest_of_them_runs() -> None:
    cluster = Cluster(running=0)
    pods, new = cluster.world.stores[PODS], planned(cluster)
    assert route(cluster).max_num_seqs == new, "no pod says otherwise"
    pods.upsert(engine("old", f"--max-num-seqs={new // 4}"))
    pods.upsert(engine("new", f"--max-num-seqs={new}"))
    assert route(cluster).max_num_seqs == new // 4
    pods.remove(engine("old"))
    assert route(cluster).max_num_seqs == new, "the rollout is complete"


def test_a_smaller_plan_counts_at_once_while_larger_engines_run_still() -> None:
    cluster = Cluster(running=0)
    cluster.world.stores[PODS].upsert(engine("old", f"--max-num-seqs={planned(cluster) * 2}"))
    assert route(cluster).max_num_seqs == planned(cluster)


@pytest.mark.parametrize("how", [{"terminating": True}, {"phase": "Failed"}, {"phase": "Succeeded"}])
def test_an_engine_that_gets_nothing_new_bounds_nothing(how: dict[str, Any]) -> None:
    cluster = Cluster(running=0)
    cluster.world.stores[PODS].upsert(engine("old", "--max-num-seqs=1", **how))
    assert route(cluster).max_num_seqs == planned(cluster)


@pytest.mark.parametrize(
    ("args", "limit"),
    [
        (["--max-num-seqs=128", "--port=8000"], 128),
        (["--max-num-seqs=128", "--max-num-seqs=2"], 2),
        (["--max-num-seqs=128", "--max-num-seqs", "4"], 4),
        (["--max-num-seqs=128", "--max-num-seqs"], None),
        (["--max-num-seqs=some"], None),
        (["--max-num-batched-tokens=2048"], None),
    ],
)
def test_the_limit_is_read_as_the_engine_reads_it(args: list[str], limit: int | None) -> None:
    assert own_limit(engine("one", *args)) == limit


def test_pods_without_an_engine_or_its_arguments_have_no_limit() -> None:
    router = pod("router", on="a")
    router["spec"]["containers"][0] |= {"name": "router", "args": ["--port=4000"]}
    bare = engine("bare")
    bare["spec"]["containers"][0]["args"] = []
    for made in (router, bare):
        assert own_limit(made) is None


def test_nothing_is_held_for_what_its_spec_fixes_at_zero() -> None:
    found = route(Cluster(running=0, replicas=0))
    assert (found.switched_off, found.hold_seconds) == (True, 0)


@pytest.mark.parametrize(
    "spec",
    [{"scaling": {"min": 0}}, {"replicas": 0, "scaling": {"mode": "external"}}, {"replicas": 1}],
    ids=["asleep", "whoever decides may wake it", "fixed at one"],
)
def test_what_may_get_a_replica_is_held_for(spec: dict[str, Any]) -> None:
    found = route(Cluster(running=0, **spec))
    assert (found.switched_off, found.hold_seconds) == (False, 600)
