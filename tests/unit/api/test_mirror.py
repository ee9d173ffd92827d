"""Images of a registry of the site keep their name below it."""

import pytest
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.mirror import mirrored
from pydantic import ValidationError

DIGEST = "@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("docker.io/vllm/vllm-openai:v1", "mirror.example/vllm/vllm-openai:v1"),
        ("vllm/vllm-openai:v1", "mirror.example/vllm/vllm-openai:v1"),
        ("localhost/engine:dev", "mirror.example/engine:dev"),
        ("registry:5000/team/engine" + DIGEST, "mirror.example/team/engine" + DIGEST),
        ("engine:v1", "mirror.example/engine:v1"),
    ],
)
def test_the_registry_is_replaced(image: str, expected: str) -> None:
    assert mirrored(image, registry="mirror.example") == expected


@pytest.mark.parametrize("registry", [None, ""])
def test_no_registry_changes_nothing(registry: str | None) -> None:
    assert mirrored("docker.io/a/b:1", registry=registry) == "docker.io/a/b:1"


def test_the_image_of_routers_follows_unless_it_is_named() -> None:
    def image(**fields: object) -> str:
        return OperatorConfig.model_validate(fields).router_image

    default = image()
    assert image(imageRegistry="mirror.example:5000/hub") == "mirror.example:5000/hub/" + default.partition("/")[2]
    assert image(imageRegistry="mirror.example", router={"image": "registry.example/litellm:1"}) == (
        "registry.example/litellm:1"
    )


@pytest.mark.parametrize("registry", ["https://mirror.example", "mirror.example/", "mirror example", ""])
def test_what_is_no_registry_is_refused(registry: str) -> None:
    with pytest.raises(ValidationError, match="imageRegistry"):
        OperatorConfig.model_validate({"imageRegistry": registry})
