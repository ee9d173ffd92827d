"""A dump plans as the cluster does, and what cannot be read is said."""

import asyncio
import json
from typing import Any

import pytest
import yaml
from gemma_operator.api.errors import ApiError, ConfigurationError
from gemma_operator.cli import live
from gemma_operator.cli.installed import configuration_for
from gemma_operator.cli.live import Cluster
from gemma_operator.cluster.resources import CONFIG_MAPS, DEPLOYMENTS, GEMMA_DEPLOYMENTS, NODES, PODS, Resource

from tests.unit.cli.conftest import gemma
from tests.unit.inventory.builders import Object, node, pod, pool_deployment, quota

OBJECTS: dict[str, list[Object]] = {
    NODES.plural: [node("l4")],
    PODS.plural: [pod("other", on="l4", gpus=3)],
    "resourcequotas": [quota("q", hard={"pods": "9"})],
    DEPLOYMENTS.plural: [pool_deployment("chat", replicas=1)],
    GEMMA_DEPLOYMENTS.plural: [gemma("chat", {"model": "e2b"}, namespace="default")],
    CONFIG_MAPS.plural: [{"metadata": {"name": "config"}, "data": {"config.yaml": "engine: {version: 0.31.0}\n"}}],
}


class Api:
    """Answers lists as the operator's client does; `refused` maps a plural to a status."""

    def __init__(self, refused: dict[str, int]) -> None:
        self.refused, self.asked, self.closed = refused, dict[str, str](), False
        self.objects = dict(OBJECTS)

    async def list(self, resource: Resource, *, labels: str = "") -> tuple[list[Object], str]:
        self.asked[resource.plural] = labels
        await asyncio.sleep(0)
        if status := self.refused.get(resource.plural):
            raise ApiError(status=status, reason="Forbidden", message="no", verb="LIST", path=resource.path())
        # The API server leaves kind and apiVersion out of the items of a list.
        found = self.objects[resource.plural]
        return [{k: v for k, v in obj.items() if k not in ("kind", "apiVersion")} for obj in found], "1"

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Any:
    def serve(**refused: int) -> Api:
        made = Api(refused)

        async def connect(**_: Any) -> Api:
            return made

        monkeypatch.setattr(live, "connect", connect)
        return made

    return serve


def test_a_dump_holds_every_kind_and_the_configuration(run, api):
    server = api()
    body = json.loads(run("dump").stdout)
    assert [item["kind"] for item in body["items"]] == ["Node", "Pod", "ResourceQuota", "Deployment", "GemmaDeployment"]
    assert body["config"] == {"engine": {"version": "0.31.0"}}
    assert "secret" not in json.dumps(body)
    assert server.asked["deployments"] == "gemma4stack.dev/pool"
    assert server.closed


def test_a_dump_plans_as_the_cluster_does(run, api, wanted, tmp_path):
    api()
    dump = tmp_path / "dump.json"
    dump.write_text(run("dump").stdout)
    arguments = ("plan", "-f", wanted(new={"model": "e2b"}), "-o", "json")
    from_dump, from_cluster = run(*arguments, "--nodes", dump), run(*arguments)
    assert from_dump.stdout == from_cluster.stdout
    assert from_cluster.exit_code == 2, "three GPUs are taken and the fourth is promised to chat"
    assert run("plan", "-f", wanted(chat={"model": "e2b"})).exit_code == 0


def test_dumping_a_dump_changes_nothing(run, api):
    api()
    body = json.loads(run("dump").stdout)
    assert Cluster.of(body["items"], config=body["config"]).to_json() == body


@pytest.mark.parametrize(
    ("refused", "note"),
    [
        ({"resourcequotas": 403}, "resourcequotas are left out: you may not list them"),
        ({"gemmadeployments": 404}, "gemmadeployments are left out: the CRD is not installed"),
        ({"configmaps": 403}, "you may not list ConfigMaps: pass --config"),
    ],
)
def test_what_may_be_missing_is_noted(run, api, refused, note):
    api(**refused)
    result = run("dump")
    assert result.exit_code == 0
    assert note in result.stderr
    assert json.loads(result.stdout)["items"][0]["kind"] == "Node"


@pytest.mark.parametrize("plural", ["nodes", "pods"])
def test_without_nodes_or_pods_there_is_no_plan(run, api, wanted, plural):
    api(**{plural: 403})
    result = run("plan", "-f", wanted(chat={"model": "e2b"}))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"planning reads all {plural} of the cluster, and you may not list them (no)" in result.stderr
    assert "kubectl gemma dump > cluster.json" in result.stderr
    assert "--nodes cluster.json" in result.stderr
    result = run("dump")
    assert result.exit_code == 1
    assert "or let one make the dump" in result.stderr


def test_no_cluster(run, monkeypatch):
    async def connect(**_: Any) -> None:
        raise ConfigurationError("no cluster to talk to: set KUBECONFIG or pass --kubeconfig")

    monkeypatch.setattr(live, "connect", connect)
    result = run("dump")
    assert result.exit_code == 1
    assert "no cluster to talk to" in result.stderr


def installation(namespace: str, config: str) -> Object:
    return {"metadata": {"name": "gemma-operator", "namespace": namespace}, "data": {"config.yaml": config}}


TEAM_A = installation("a-system", "engine: {version: 0.31.0}\nnamespaces: [a, both]\n")
TEAM_B = installation("b-system", "engine: {version: 0.30.0}\nnamespaces: [b, both]\n")
EVERYWHERE = installation("system", "{engine: {version: 0.29.0}}")


@pytest.mark.parametrize(
    ("installed", "namespace", "version", "note"),
    [
        ([TEAM_A, TEAM_B], "a", "0.31.0", ""),
        ([TEAM_A, TEAM_B], "b", "0.30.0", ""),
        ([TEAM_A, EVERYWHERE], "c", "0.29.0", ""),
        (
            [TEAM_A, TEAM_B],
            "both",
            "0.31.0",
            "several operators watch both (a-system/gemma-operator, b-system/gemma-operator): the configuration of "
            "a-system/gemma-operator is used; --config names another",
        ),
        ([TEAM_B], "c", "0.30.0", "no installed operator watches c (b-system/gemma-operator)"),
    ],
)
def test_of_several_operators_the_one_that_watches_the_namespace(
    run, api, tmp_path, installed, namespace, version, note
):
    server = api()
    server.objects[CONFIG_MAPS.plural] = installed
    path = tmp_path / "wanted.yaml"
    path.write_text(yaml.safe_dump(gemma("new", {"model": "e2b", "accelerators": ["l4"]}, namespace=namespace)))
    server.objects[PODS.plural] = []
    result = run("plan", "-f", path, "-o", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["plan"]["pools"][0]["engineVersion"] == version
    assert (note in result.stderr) if note else ("note:" not in result.stderr)
    dumped = run("dump", "-n", namespace)
    assert json.loads(dumped.stdout)["config"]["engine"]["version"] == version


def test_several_namespaces_at_once_need_an_operator_of_all(run, api, tmp_path):
    server = api()
    server.objects[CONFIG_MAPS.plural] = [TEAM_A, EVERYWHERE]
    server.objects[PODS.plural] = []
    path = tmp_path / "wanted.yaml"
    objects = [gemma("new", {"model": "e2b"}, namespace=namespace) for namespace in ("a", "c")]
    path.write_text(yaml.safe_dump_all(objects))
    found = json.loads(run("plan", "-f", path, "-o", "json").stdout)["items"]
    assert {each["plan"]["pools"][0]["engineVersion"] for each in found} == {"0.29.0"}


def test_where_no_namespace_is_meant_nothing_is_said_of_the_choice():
    assert configuration_for([], [TEAM_A, TEAM_B])[1] == ""
