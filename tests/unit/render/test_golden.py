"""What the real planner and the renderer make of the shapes of the hardware: kept, valid, and known to vLLM."""

import difflib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from gemma_operator.api.spec import seconds
from gemma_operator.render.manifests import compact
from gemma_operator.render.types import Object
from kubernetes_validate.utils import all_versions
from packaging.version import Version

from tests.unit.render import builders, golden
from tests.unit.render.pod_security import violations
from tests.unit.render.shapes import SHAPES, Shape

VERSIONS = sorted(set(all_versions()), key=Version)[-4:]
FLAGS = frozenset(
    line
    for line in (Path(__file__).parent / "data" / "vllm-0.32.0-flags.txt").read_text().splitlines()
    if line.startswith("--")
)
MANIFESTS = golden.manifests()
OBJECTS = [(name, item) for name, objects in MANIFESTS.items() for item in objects]
MORE = builders.router_objects(
    router={"imagePullSecrets": ["mirror"], "serviceType": "NodePort"}, monitoringNamespace="monitoring"
)
# Those of other APIs are checked by their own definitions, in tests/integration/test_exposure.py.
DIFFERENT = {
    compact(item): (name, item)
    for name, item in [*OBJECTS, *(("router-more", item) for item in MORE)]
    if item["kind"] != "HTTPRoute"
}
DEPLOYMENTS = [(name, item) for name, item in OBJECTS if item["kind"] == "Deployment"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_rendered_as_kept(name: str) -> None:
    path = golden.DIRECTORY / f"{name}.yaml"
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    rendered = golden.text(MANIFESTS[name])
    difference = "".join(
        difflib.unified_diff(kept.splitlines(True), rendered.splitlines(True), fromfile=str(path), tofile="rendered")
    )
    assert not difference, f"{difference}\nif this is meant: .venv/bin/python -m tests.unit.render.golden --update"


def test_no_golden_manifest_is_left_over() -> None:
    assert {path.stem for path in golden.DIRECTORY.iterdir()} == set(MANIFESTS)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_shape_is_what_its_name_says(shape: Shape) -> None:
    pool = shape.pool()
    chosen = (pool.model, pool.precision, pool.accelerator, pool.gpus_per_replica)
    assert chosen == (shape.model, shape.precision, shape.accelerator, shape.gpus)


def test_the_last_four_minors_are_four() -> None:
    """The package lists some versions twice."""
    assert len({Version(version).minor for version in VERSIONS}) == 4


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "item", DIFFERENT.values(), ids=lambda item: f"{item[0]}/{item[1]['kind']}/{item[1]['metadata']['name']}"
)
def test_valid_against_the_kubernetes_schema(item: tuple[str, Object], version: str) -> None:
    kubernetes_validate.validate(item[1], version, strict=True)


def test_the_schema_check_knows_unknown_fields() -> None:
    wrong = {**dict(DEPLOYMENTS)["e2b-l4"], "spek": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="spek"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize(("name", "item"), DEPLOYMENTS, ids=[name for name, _ in DEPLOYMENTS])
def test_admitted_under_pod_security_restricted(name: str, item: Object) -> None:
    assert violations(item["spec"]["template"]) == []


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_vllm_knows_every_flag(shape: Shape) -> None:
    model, *arguments = builders.container(shape.objects())["args"]
    assert not model.startswith("-"), "vllm serve takes the model as its first argument"
    flags = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
    assert flags
    assert [flag for flag in flags if flag not in FLAGS] == []
    repeated = {flag for flag in flags if flags.count(flag) > 1}
    assert not repeated
    # every value is in its argument, so that no value can be taken for a flag
    assert len(flags) == len(arguments)


def test_the_flags_are_those_of_vllm() -> None:
    assert len(FLAGS) > 300
    assert {"--max-model-len", "--tool-call-parser", "--shutdown-timeout"} <= FLAGS
    assert "--no-such-flag" not in FLAGS


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_engine_drains_as_long_as_the_pod_waits(shape: Shape) -> None:
    objects = shape.objects()
    values = dict(argument.split("=", 1) for argument in builders.container(objects)["args"] if "=" in argument)
    drain = seconds(shape.parsed().scaling.drain_timeout)
    assert int(values["--shutdown-timeout"]) == drain
    pre_stop = shape.settings.engine.pre_stop_seconds
    assert builders.pod_spec(objects)["terminationGracePeriodSeconds"] >= drain + pre_stop + 10
    assert values["--served-model-name"] == "chat"
    assert int(values["--port"]) == builders.container(objects)["ports"][0]["containerPort"]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_gpus_of_the_pod_are_the_tensor_parallel_group(shape: Shape) -> None:
    values = dict(argument.split("=", 1) for argument in builders.container(shape.objects())["args"] if "=" in argument)
    asked = builders.container(shape.objects())["resources"]["limits"].get("nvidia.com/gpu", "1")
    assert values["--tensor-parallel-size"] == asked


@pytest.mark.parametrize(("name", "item"), DEPLOYMENTS, ids=[name for name, _ in DEPLOYMENTS])
def test_no_secret_value_is_rendered(name: str, item: Object) -> None:
    (container,) = item["spec"]["template"]["spec"]["containers"]
    secret = ("TOKEN", "KEY", "PASSWORD", "SECRET")
    assert not [entry["name"] for entry in container["env"] if "value" in entry and entry["name"].endswith(secret)]
    given: list[Any] = [*container.get("args", []), *container.get("command", [])]
    assert not [argument for argument in given if "api-key" in argument or "hf-token" in argument]
