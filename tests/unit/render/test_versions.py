"""What makes another version of engine pods, and what only changes with time."""

from typing import Any

import pytest
from gemma_operator.render.types import Object
from gemma_operator.render.versions import same_version

from tests.unit.render import builders
from tests.unit.render.builders import engine_objects


def rendered(**changes: Any) -> Object:
    return next(each for each in engine_objects(**changes) if each["kind"] == "Deployment")


def test_measured_starts_and_spare_gpus_make_no_other_version() -> None:
    for changes in ({"measured": 5000}, {"strategy": "inPlace"}, {"measured": 5000, "strategy": "inPlace"}):
        later = rendered(**changes)
        assert later != rendered(), "they do change what is rendered"
        assert same_version(rendered(), later)


@pytest.mark.parametrize(
    "settings",
    [
        {"engine": {"huggingFaceEndpoint": "https://hub.example.com"}},
        {"engine": {"imagePullSecrets": ["registry"]}},
        {"engine": {"preStopSeconds": 33}},
    ],
)
def test_another_configuration_is_another_version(settings: Object) -> None:
    assert not same_version(rendered(), rendered(settings=builders.config(**settings)))


def test_another_template_is_another_version() -> None:
    later = rendered()
    later["spec"]["template"]["spec"]["containers"][0]["securityContext"]["runAsUser"] = 7
    assert not same_version(rendered(), later)


def test_comparing_changes_nothing() -> None:
    one, other = rendered(), rendered(measured=5000)
    same_version(one, other)
    assert (one, other) == (rendered(), rendered(measured=5000))
