"""The operator's configuration: what cannot be meant is refused with a remedy."""

import jsonschema
import pytest
from gemma_operator.api.config import OperatorConfig
from pydantic import ValidationError

L4 = {"accelerator": "l4", "gpusPerNode": 8, "nodes": 1, "labels": {"gpu": "l4"}}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"inventory": {"source": "static"}}, "describe them in inventory.nodes"),
        ({"inventory": {"nodes": [L4]}}, "remove the list, or set the source"),
        ({"inventory": {"source": "static", "nodes": [{**L4, "labels": {}}]}}, "inventory.nodes.0.labels"),
        ({"inventory": {"source": "static", "nodes": [{**L4, "nodes": 0}]}}, "inventory.nodes.0.nodes"),
        ({"namespaces": ["a", "a"]}, "namespaces names one of them twice"),
        ({"namespaces": ["team-*"]}, "namespaces.0"),
        # Samples of which one is missed would be too old, and none would teach the cost model.
        ({"scrapeSeconds": 16}, "scrapeSeconds"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        OperatorConfig.model_validate(fields)
    assert says in str(refused.value)


def test_a_static_inventory_may_hold_nodes_to_be_added_alone() -> None:
    entry = {"accelerator": "l4", "gpusPerNode": 8, "nodes": 1}
    config = OperatorConfig.model_validate({"inventory": {"source": "static"}, "provisionable": [entry]})
    assert not config.reads_nodes
    assert OperatorConfig().reads_nodes


@pytest.mark.parametrize(
    ("fields", "where", "says"),
    [
        ({"engine": {"version": "0.27.0"}}, "engine.version", "vLLM 0.27.0 is denied: its image bundles"),
        ({"engine": {"version": "0.27.0"}}, "engine.version", "use 0.28.0 or newer, or remove engine.version"),
        ({"engine": {"version": "0.19.0"}}, "engine.version", "vLLM before 0.19.1 does not know Gemma 4"),
        ({"engine": {"images": {"nvdia": "x"}}}, "engine.images.nvdia", "Extra inputs"),
        ({"engine": {"images": {"nvidia": ""}}}, "engine.images.nvidia", "at least 1 character"),
        ({"engine": {"env": [{"nam": "X"}]}}, "engine.env.0.nam", "Extra inputs"),
        ({"engine": {"tolerations": [{"kye": "x"}]}}, "engine.tolerations.0.kye", "Extra inputs"),
        ({"engine": {"tolerations": [{"value": "x"}]}}, "engine.tolerations.0", "needs operator: Exists"),
        ({"provisionable": [{**L4, "taints": [{"efect": "x"}]}]}, "provisionable.0.taints.0.efect", "Extra inputs"),
        ({"provisionable": [{**L4, "taints": [{"key": "x"}]}]}, "provisionable.0.taints.0.effect", "required"),
        ({"router": {"role": "Not a name"}}, "router.role", "match pattern"),
        ({"monitoringNamespace": "my.monitoring"}, "monitoringNamespace", "match pattern"),
        ({"router": {"image": "ghcr.io/berriai/litellm:v1.82.7"}}, "router.image", "carried malware; use another"),
        ({"router": {"image": "own.site:5000/litellm:main-v1.82.8-stable"}}, "router.image", "carried malware"),
        ({"router": {"image": "own.site/litellm:1.107.12@sha256:00"}}, "router.image", "carried malware"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], where: str, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        OperatorConfig.model_validate(fields)
    found = {".".join(map(str, each["loc"])): each["msg"] for each in refused.value.errors()}
    assert says in found[where]


@pytest.mark.parametrize("tag", ["v1.108.7", "1.82.70", "v11.82.7", "v1.82.6", "main-1.1070.1"])
def test_other_versions_of_the_router_may_run(tag: str) -> None:
    OperatorConfig.model_validate({"router": {"image": f"own.site:1/x:{tag}"}})


def test_a_schema_refuses_the_same_without_the_operator() -> None:
    schema = OperatorConfig.model_json_schema()
    for fields in (
        {"engine": {"version": "0.27.1"}},
        {"engine": {"images": {"nvdia": "x"}}},
        {"router": {"image": "x:v1.107.3"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(fields, schema)
    jsonschema.validate({"engine": {"version": "0.32.0"}, "router": {"image": "x:v1.108.7"}}, schema)


def test_what_pods_are_given_stays_as_kubernetes_writes_it() -> None:
    entry = {"accelerator": "l4", "gpusPerNode": 8, "nodes": 1, "taints": [{"key": "gpu", "effect": "NoSchedule"}]}
    engine = {
        "images": {"amd": "own.site/vllm:1"},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "tolerations": [{"operator": "Exists"}],
    }
    config = OperatorConfig.model_validate({"engine": engine, "provisionable": [entry]})
    assert {
        "images": config.engine.images,
        "env": config.engine.env,
        "tolerations": config.engine.tolerations,
    } == engine
    assert config.provisionable[0].taints == entry["taints"]
