"""`kubectl gemma plan`: output for people and programs, order, errors, exit codes."""

import json
from typing import Any

import pytest
import yaml

from tests.unit.api.cases import BAD_OBJECTS
from tests.unit.cli.conftest import gemma
from tests.unit.inventory.builders import node, pod, pool_deployment


def test_json_is_what_the_issue_of_programs_needs(run, wanted, cluster):
    result = run("plan", "-f", wanted(chat={"model": "e2b"}), "--nodes", cluster(), "-o", "json")
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert (body["namespace"], body["name"]) == ("default", "chat")
    (pool,) = body["plan"]["pools"]
    assert (pool["model"], pool["precision"], pool["accelerator"], pool["gpusPerReplica"]) == ("e2b", "bf16", "l4", 1)
    assert pool["nodeSelectorTerms"][0]["matchExpressions"][0]["key"] == "nvidia.com/gpu.product"
    assert body["plan"]["reason"].startswith("e2b bf16 on 1×l4 on free GPUs")
    assert all(
        set(each) >= {"model", "precision", "accelerator", "gpusPerReplica", "reason"} for each in body["rejected"]
    )


def test_a_static_inventory_needs_no_node_of_the_cluster(run, wanted, tmp_path):
    nodes = [{"accelerator": "h100", "gpusPerNode": 8, "nodes": 1, "labels": {"pool": "ours"}}]
    config = {"inventory": {"source": "static", "nodes": nodes}}
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps({"kind": "List", "config": config, "items": [node("hidden", gpu="l4")]}))
    result = run("plan", "-f", wanted(chat={"model": "31b"}), "--nodes", str(dump), "-o", "json")
    assert result.exit_code == 0, result.output
    (pool,) = json.loads(result.stdout)["plan"]["pools"]
    expected = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["ours"]}]}
    assert (pool["accelerator"], pool["nodeSelectorTerms"]) == ("h100", [expected])
    dump.write_text(json.dumps({"kind": "List", "config": config, "items": []}))
    assert run("plan", "-f", wanted(chat={"model": "31b"}), "--nodes", str(dump), "-o", "json").stdout == result.stdout


def test_yaml_is_the_same(run, wanted, cluster):
    arguments = ("plan", "-f", wanted(chat={"model": "e2b"}), "--nodes", cluster())
    assert yaml.safe_load(run(*arguments, "-o", "yaml").stdout) == json.loads(run(*arguments, "-o", "json").stdout)


def test_the_table_tells_what_was_chosen_why_what_it_holds_and_costs(run, wanted, cluster):
    text = run("plan", "-f", wanted(chat={"model": "e4b"}), "--nodes", cluster()).stdout
    for part in (
        "default/chat",
        "e4b bf16 on 1×l4 on free GPUs: the best way to serve e4b",
        "google/gemma-4-E4B-it, bf16, 14.9 GiB to download",
        "of 2048 tokens, or",
        "usable of 22.5 GiB per GPU = weights",
        "tokens/s for each of 8 requests (estimate)",
        "0.81 USD per hour",
        "* inferred, not read from a source",
        "e4b bf16 on 2×l4",
        "fits, but costs 1.61 USD per hour and replica",
    ):
        assert part in text
    assert "\x1b[" not in text, "no colour in a pipe"


def test_a_long_list_of_losers_is_cut_unless_asked_for(run, wanted, cluster):
    arguments = ("plan", "-f", wanted(chat={}), "--nodes", cluster())
    short, full = run(*arguments).stdout, run(*arguments, "--all").stdout
    assert "more: --all shows them" in short
    assert "more: --all shows them" not in full
    assert len(full.splitlines()) > len(short.splitlines()) + 20


def test_nothing_fits(run, wanted, cluster):
    file = wanted(chat={"model": "31b", "accelerators": ["h100"]})
    result = run("plan", "-f", file, "--nodes", cluster(), "-o", "json")
    assert result.exit_code == 2
    body = json.loads(result.stdout)
    assert body["plan"]["pools"] == []
    assert body["plan"]["blocked"] == "NoSuchAccelerator"
    text = run("plan", "-f", file, "--nodes", cluster()).stdout
    assert "No plan (NoSuchAccelerator): no node carries h100; the cluster has l4" in text
    assert "Next: add such a node" in text


def plans(result: Any) -> dict[str, str]:
    items = json.loads(result.stdout)["items"]
    return {
        each["name"]: (each["plan"]["pools"] or [{"accelerator": each["plan"].get("blocked")}])[0]["accelerator"]
        for each in items
    }


def test_several_deployments_never_share_a_gpu(run, wanted, cluster):
    file = wanted(**{name: {"model": "e4b"} for name in ("a", "b", "c")})
    result = run("plan", "-f", file, "--nodes", cluster(node("one", gpus=2)), "-o", "json")
    assert result.exit_code == 2
    assert plans(result) == {"a": "l4", "b": "l4", "c": "InsufficientCapacity"}


def test_priority_then_age_then_name(run, tmp_path, cluster):
    documents = [
        gemma("a", {"model": "e4b"}),
        gemma("b", {"model": "e4b"}, creationTimestamp="2026-01-01T00:00:00Z"),
        gemma("z", {"model": "e4b", "priority": 5}),
    ]
    file = tmp_path / "many.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    result = run("plan", "-f", file, "--nodes", cluster(node("one", gpus=2)), "-o", "json")
    assert plans(result) == {"a": "InsufficientCapacity", "b": "l4", "z": "l4"}


def test_deployments_of_the_cluster_that_wait_take_their_turn(run, wanted, cluster):
    old = gemma("old", {"model": "e4b"}, namespace="default", creationTimestamp="2026-01-01T00:00:00Z")
    file = wanted(chat={"model": "e4b"})
    assert run("plan", "-f", file, "--nodes", cluster(node("one", gpus=1), old)).exit_code == 2
    urgent = wanted(chat={"model": "e4b", "priority": 1})
    assert run("plan", "-f", urgent, "--nodes", cluster(node("one", gpus=1), old)).exit_code == 0


def test_own_pods_are_free_and_other_pools_are_not(run, wanted, cluster):
    objects = [
        node("one", gpus=2),
        pod("chat-0-x", on="one", gpus=1, deployment="chat"),
        pool_deployment("other", replicas=1),
    ]
    assert run("plan", "-f", wanted(chat={"model": "e4b"}), "--nodes", cluster(*objects)).exit_code == 0
    assert run("plan", "-f", wanted(new={"model": "e4b"}), "--nodes", cluster(*objects)).exit_code == 2


def test_plain_kubectl_output_of_nodes_alone_is_enough(run, wanted, cluster, tmp_path):
    path = tmp_path / "nodes.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "NodeList", "items": [node("l4")]}))
    assert run("plan", "-f", wanted(chat={"model": "e4b"}), "--nodes", path).exit_code == 0


def test_configuration_comes_from_the_dump_or_from_a_file(run, wanted, cluster, tmp_path):
    added = {"provisionable": [{"accelerator": "h100", "gpusPerNode": 8, "nodes": 1}]}
    file, dump = wanted(chat={"model": "31b", "precision": "bf16"}), cluster(node("cpu", gpu=None), config=added)
    result = run("plan", "-f", file, "--nodes", dump, "-o", "json")
    assert json.loads(result.stdout)["plan"]["pools"][0]["supply"] == "Provisionable"
    empty = tmp_path / "config.yaml"
    empty.write_text("{}\n")
    assert run("plan", "-f", file, "--nodes", dump, "--config", empty).exit_code == 2


def test_standard_input_and_other_kinds(run, cluster):
    text = yaml.safe_dump_all([{"apiVersion": "v1", "kind": "Secret"}, gemma("chat", {"model": "e2b"})])
    assert run("plan", "-f", "-", "--nodes", cluster(), stdin=text).exit_code == 0


def test_several_files(run, cluster, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(gemma(name, {"model": "e4b"})))
    files = ("-f", tmp_path / "a.yaml", "-f", tmp_path / "b.yaml")
    assert plans(run("plan", *files, "--nodes", cluster(), "-o", "json")) == {"a": "l4", "b": "l4"}
    explained = run("explain", "a", *files, "--nodes", cluster(), "-o", "json")
    assert json.loads(explained.stdout)["name"] == "a"


def test_the_same_deployment_twice(run, cluster, tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(yaml.safe_dump(gemma("chat", {"model": "e4b"})))
    two.write_text(yaml.safe_dump_all([gemma("other", {}), gemma("other", {})]))
    result = run("plan", "-f", one, "-f", one, "--nodes", cluster())
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{one}: GemmaDeployment default/chat twice: remove or rename one" in result.stderr
    assert "default/other twice" in run("plan", "-f", two, "--nodes", cluster()).stderr
    two.write_text(yaml.safe_dump(gemma("chat", {})))
    result = run("plan", "-f", one, "-f", two, "--nodes", cluster())
    assert f"{two}: GemmaDeployment default/chat again, as in {one}: remove or rename one" in result.stderr


@pytest.mark.parametrize(("obj", "says"), [case[1:] for case in BAD_OBJECTS], ids=[case[0] for case in BAD_OBJECTS])
def test_what_the_api_server_refuses_in_the_whole_object(run, cluster, tmp_path, obj, says):
    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump(gemma(obj["metadata"]["name"], obj["spec"])))
    result = run("plan", "-f", path, "--nodes", cluster())
    assert (result.exit_code, result.stdout) == (1, "")
    assert says in result.stderr


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ({"model": "e5b"}, ["spec.model:", "unknown model 'e5b'", "use e2b, e4b"]),
        ({"model": "e2b", "context": 200_000}, ["context 200000 is above the limit", "131072"]),
        ({"modle": "e2b"}, ["spec.modle: unknown field"]),
        ({"scaling": {"min": 5, "max": 2}}, ["scaling.min must not be above scaling.max"]),
        ({"concurrency": -1}, ["spec.concurrency:"]),
        ({"engineVersion": "0.27.0"}, ["spec.engineVersion:", "cannot start Gemma 4"]),
    ],
)
def test_a_wrong_spec_names_field_and_remedy(run, wanted, cluster, spec, parts):
    result = run("plan", "-f", wanted(chat=spec), "--nodes", cluster())
    assert result.exit_code == 1
    assert result.stdout == ""
    for part in parts:
        assert part in result.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("plan",), "--filename"),
        (("plan", "-f", "nowhere.yaml", "--nodes", "nodes.json"), "nowhere.yaml: cannot be read"),
        (("nonsense",), "nonsense"),
        (("plan", "-f", "-", "-o", "xml"), "xml"),
    ],
)
def test_wrong_usage_is_an_error_and_not_a_plan_that_does_not_fit(run, arguments, part):
    result = run(*arguments)
    assert result.exit_code == 1
    assert part in result.stderr


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("just words", "no list of objects: use `kubectl gemma dump`"),
        ('{"items": []}', "no Node in it"),
        ("{broken", "neither JSON nor YAML"),
    ],
)
def test_a_dump_that_is_none(run, wanted, tmp_path, text, part):
    path = tmp_path / "dump.json"
    path.write_text(text)
    result = run("plan", "-f", wanted(chat={}), "--nodes", path)
    assert result.exit_code == 1
    assert part in result.stderr


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [", "neither YAML nor JSON"),
        ("kind: Pod", "no GemmaDeployment in it"),
        ("- 1", "is no Kubernetes object"),
        ("kind: GemmaDeployment\napiVersion: other/v1\nmetadata: {name: x}", "write gemma4stack.dev/v1alpha1"),
        ("kind: GemmaDeployment\napiVersion: gemma4stack.dev/v1alpha1", "give the GemmaDeployment a name"),
    ],
)
def test_a_file_that_holds_no_deployment(run, cluster, tmp_path, text, part):
    path = tmp_path / "file.yaml"
    path.write_text(text)
    result = run("plan", "-f", path, "--nodes", cluster())
    assert result.exit_code == 1
    assert part in result.stderr


def test_a_wrong_configuration_is_named(run, wanted, cluster, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("engine: {versoin: 0.32.0}\n")
    result = run("plan", "-f", wanted(chat={}), "--nodes", cluster(), "--config", path)
    assert result.exit_code == 1
    assert "engine.versoin: unknown field" in result.stderr
    path.write_text("provisionable: [{accelerator: h1000, gpusPerNode: 8, nodes: 1}]\n")
    result = run("plan", "-f", wanted(chat={}), "--nodes", cluster(), "--config", path)
    assert result.exit_code == 1
    assert "'h1000' is not in the hardware table" in result.stderr
