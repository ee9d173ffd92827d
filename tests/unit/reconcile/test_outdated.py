"""What status says of engine pods that another operator or configuration made."""

from dataclasses import replace
from typing import Any

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.load import load_catalog
from gemma_operator.planner.types import Pool
from gemma_operator.reconcile.outdated import outdated

from tests.unit.render import builders

CATALOG = load_catalog()
VERSION = OperatorConfig().engine.version
POOL = replace(builders.POOL, engine_version=VERSION, image=f"docker.io/vllm/vllm-openai:v{VERSION}", accelerator="l4")
MANIFEST: dict[str, Any] = {"metadata": {}, "spec": {"template": {}}}


def told(pool: Pool = POOL, *, config: dict[str, Any] | None = None, rendered: Any = MANIFEST, **fields: Any) -> str:
    return outdated(
        MANIFEST,
        rendered,
        spec=GemmaDeploymentSpec.model_validate(fields),
        pool=pool,
        catalog=CATALOG,
        config=OperatorConfig.model_validate(config or {}),
    )


def test_what_would_be_run_now_is_not_outdated() -> None:
    assert told() == ""
    older_driver = replace(POOL, image=f"{POOL.image}-cu129")
    assert told(older_driver) == "", "the drivers of the nodes decide, which are not looked at here"
    assert told(replace(POOL, engine_version="0.31.0"), engineVersion="0.31.0").startswith("image"), (
        "pinned by the spec"
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"engine": {"version": "0.99.0"}}, f"engine vllm {VERSION}, now 0.99.0"),
        ({"engine": {"images": {"nvidia": "own.site/vllm:1"}}}, f"image {POOL.image}, now own.site/vllm:1"),
        (
            {"imageRegistry": "r.site"},
            f"image {POOL.image}, now r.site/vllm/vllm-openai:v{VERSION} or r.site/vllm/vllm-openai:v{VERSION}-cu129",
        ),
        ({"engine": {"images": {"nvidia": POOL.image}}}, ""),
    ],
)
def test_another_configuration_is_told(config: dict[str, Any], expected: str) -> None:
    assert told(config=config) == expected


def test_another_rendering_is_told() -> None:
    rendered = {"metadata": {}, "spec": {"template": {"spec": {"hostname": "x"}}}}
    assert told(rendered=rendered) == "pods as an older operator or configuration rendered them"


def test_a_row_that_is_gone_is_left_to_planning() -> None:
    assert told(replace(POOL, accelerator="made-up")) == ""
