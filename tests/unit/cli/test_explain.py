"""`kubectl gemma explain`: the plan, and the one change that would make it better."""

import json
from typing import Any

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.load import load_catalog
from gemma_operator.cli import explain, session
from gemma_operator.cli.live import Cluster
from gemma_operator.cli.whatif import Ask, WhatIf, what_ifs
from gemma_operator.inventory.build import build_inventory
from gemma_operator.inventory.imagine import with_free_gpus
from gemma_operator.planner.plan import plan

from tests.unit.cli.conftest import gemma
from tests.unit.cli.test_status import Api, gdep
from tests.unit.inventory.builders import Object, node, pod, quota

CATALOG = load_catalog()


def asked(spec: dict[str, Any], *objects: Object, config: dict[str, Any] | None = None) -> Ask:
    settings = OperatorConfig.model_validate(config or {})

    def of(kind: str) -> list[Object]:
        return [obj for obj in objects if obj["kind"] == kind]

    return Ask(
        spec=GemmaDeploymentSpec.model_validate(spec),
        name="chat",
        namespace="default",
        inventory=build_inventory(
            nodes=of("Node"), pods=of("Pod"), quotas=of("ResourceQuota"), catalog=CATALOG, config=settings
        ),
        catalog=CATALOG,
        config=settings,
    )


def changes(spec: dict[str, Any], *objects: Object, **more: Any) -> dict[str, WhatIf]:
    """What would change the plan, by the words of the change; every one is checked to be an improvement."""
    ask = asked(spec, *objects, **more)
    now = plan(
        spec=ask.spec,
        name=ask.name,
        namespace=ask.namespace,
        inventory=ask.inventory,
        catalog=ask.catalog,
        config=ask.config,
    )
    found = what_ifs(ask, now=now)
    assert len(found) <= 5
    for each in found:
        if now.pools:
            assert each.pool != now.pools[0]
    return {each.change: each for each in found}


def test_one_free_gpu_more_of_the_preferred_row():
    spec = {"model": "31b", "accelerators": ["l40s", "l4"]}
    found = changes(spec, node("a", gpu="l40s", gpus=1), pod("other", on="a", gpus=1), node("b", gpu="l4", gpus=4))
    told = found["1 free l40s more"]
    assert (told.pool.accelerator, told.pool.gpus_per_replica) == ("l40s", 1)
    assert told.result.startswith(f"31b {told.pool.precision} on 1×l40s, ")
    assert "; now 31b int4 on 2×l4" in told.result
    assert next(iter(found)) == "1 free l40s more", "the best first"


def test_the_smallest_number_of_gpus_that_helps():
    spec = {"model": "31b", "precision": "bf16", "accelerators": ["l4"]}
    found = changes(spec, node("a", gpu="l4", gpus=1))
    told = [each for each in found.values() if each.kind == "gpus"]
    assert [each.change for each in told] == ["3 free l4 more on one node"], "with the one that is there"
    assert told[0].pool.gpus_per_replica == 4


def test_from_nothing_to_something_by_the_spec():
    found = changes({"model": "31b", "precision": "bf16"}, node("a", gpu="l4", gpus=2))
    assert found["any precision"].how == "spec.precision: auto"
    assert found["any precision"].pool.precision == "int4"
    assert {"gpus", "precision"} <= {each.kind for each in found.values()}


def test_a_row_that_the_cluster_lacks_is_told_of_only_where_nothing_fits():
    blocked = changes({"model": "e2b"}, node("cpu", gpu=None))
    assert blocked
    assert {each.kind for each in blocked.values()} == {"newGpus"}
    prices = [each.pool.cost_per_hour or 0 for each in blocked.values()]
    assert prices == sorted(prices), "the cheapest first"
    running = changes({"model": "e2b"}, node("a", gpu="l4", gpus=1))
    assert not [each for each in running.values() if each.pool.accelerator != "l4"]


def test_a_cordoned_node_and_a_taint():
    found = changes({"model": "e4b"}, node("closed", gpu="l4", cordoned=True))
    assert found["node closed, which is cordoned, takes pods again"].how == "kubectl uncordon closed"
    taint = {"key": "team", "value": "vision", "effect": "NoSchedule"}
    found = changes({"model": "e4b"}, node("tainted", gpu="l4", taints=[taint]))
    told = found["the taint team=vision:NoSchedule tolerated"]
    assert told.how == "spec.pod.tolerations: [{key: team, operator: Exists, effect: NoSchedule}]"


def test_a_quota_and_a_cap():
    short = quota("gpus", hard={"requests.nvidia.com/gpu": "0"})
    found = changes({"model": "e4b"}, node("a"), short)
    assert "raise ResourceQuota gpus of namespace default" in {each.how for each in found.values()}
    found = changes({"model": "e4b", "maxCostPerHour": 0.1}, node("a"))
    assert found["no cap on the price"].how == "raise spec.maxCostPerHour"


def test_less_context_and_fewer_requests():
    spec = {"model": "e4b", "context": 131072, "concurrency": 8, "typicalTokens": 131072, "accelerators": ["l4"]}
    kinds = {each.kind: each for each in changes(spec, node("a", gpu="l4", gpus=1)).values()}
    assert kinds["context"].how.startswith("spec.context: ")
    assert kinds["context"].pool.accelerator == "l4"


def test_fewer_replicas():
    found = changes({"model": "e4b", "scaling": {"min": 3, "max": 3}}, node("a", gpu="l4", gpus=1))
    assert found["1 replica at first"].how == "spec.scaling.min: 1"


def test_the_same_but_faster():
    found = changes({}, node("a", gpu="l4", gpus=1))
    assert found["half the requests at once"].result.startswith("26b-a4b int4 on 1×l4")
    assert "tokens/s for each request instead of" in found["half the requests at once"].result


def test_nothing_to_wish_for():
    assert changes({"model": "31b"}, node("a", gpu="h100", gpus=8)).get("half the context") is None


def test_an_imagined_gpu_brings_its_share_of_the_node_and_changes_nothing_else():
    ask = asked({}, node("a", gpu="l4", gpus=4), pod("other", on="a", gpus=4, cpu="96"), node("b", gpu="l4", gpus=2))
    row = CATALOG.accelerators["l4"]
    made = with_free_gpus(ask.inventory, accelerator=row, gpus=1, selector={}, tolerations=[])
    before, after = {n.name: n for n in ask.inventory.nodes}, {n.name: n for n in made.nodes}
    assert after["b"].free.devices["nvidia.com/gpu"] == 3, "where most are free already"
    assert after["b"].allocatable.devices["nvidia.com/gpu"] == 3
    assert after["b"].free.cpu_millis == before["b"].free.cpu_millis * 3 // 2
    assert after["a"] == before["a"]
    selected = with_free_gpus(ask.inventory, accelerator=row, gpus=2, selector={"zone": "x"}, tolerations=[])
    assert [n.name for n in selected.nodes][-1] == "imagined-l4", "no node has that label"
    assert selected.by_accelerator["l4"][-1] == len(selected.nodes) - 1


def test_the_command_on_a_dump(run, wanted, cluster):
    dump = cluster(node("a", gpu="l4", gpus=2), gemma("big", {"model": "31b", "precision": "bf16"}, namespace="ml"))
    result = run("explain", "big", "-n", "ml", "--nodes", dump)
    assert result.exit_code == 2
    for part in ("ml/big", "No plan (", "REJECTED", "IT WOULD RUN", "any precision"):
        assert part in result.stdout
    result = run("explain", "-f", wanted(chat={"model": "e4b"}), "--nodes", dump, "-o", "json")
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert body["plan"]["pools"][0]["model"] == "e4b"
    assert body["runs"] is None
    assert set(body) == {"namespace", "name", "plan", "rejected", "runs", "changes"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explain", "nobody"), "no GemmaDeployment default/nobody in the dump (there is none)"),
        (("explain",), "name a GemmaDeployment, or give a file"),
    ],
)
def test_refusals(run, cluster, arguments, words):
    result = run(*arguments, "--nodes", cluster())
    assert result.exit_code == 1
    assert words in result.stderr


def test_one_of_a_file_must_be_named(run, wanted, cluster):
    file = wanted(a={"model": "e4b"}, b={"model": "e2b"})
    result = run("explain", "-f", file, "--nodes", cluster())
    assert (result.exit_code, result.stdout) == (1, "")
    assert "holds a, b: name one of them" in result.stderr
    assert run("explain", "b", "-f", file, "--nodes", cluster()).exit_code == 0


def test_what_runs_is_told_where_today_would_choose_otherwise(run, monkeypatch):
    api = Api(gdep("chat"))

    async def connect(**_: Any) -> Api:
        return api

    monkeypatch.setattr(session, "connect", connect)
    monkeypatch.setattr(explain, "current_namespace", lambda *_: "cli")
    for objects, told in (([node("a", gpu="h100")], True), ([node("a", gpu="l4")], False)):
        found = Cluster.of([*objects, gemma("chat", {"model": "e4b"}, namespace="cli")])
        monkeypatch.setattr(explain, "read_cluster", lambda found=found, **_: found)
        served = gdep("chat")
        served["spec"] = {"model": "e4b"}
        api.objects = [served]
        text = run("explain", "chat").stdout
        assert ("Runs: e4b bf16 on 1×l4, planned when" in text) is told
