"""The models refuse what the API server refuses, and read what it accepts."""

import pytest
from gemma_operator.api.spec import GemmaDeploymentSpec, Scaling, hold_seconds, model_key, seconds
from pydantic import ValidationError

from tests.unit.api.cases import BAD, GOOD, Bad


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_what_the_api_server_refuses_the_models_refuse(bad: Bad) -> None:
    with pytest.raises(ValidationError):
        GemmaDeploymentSpec.model_validate(bad.spec)


@pytest.mark.parametrize("spec", [spec for _, spec in GOOD], ids=[name for name, _ in GOOD])
def test_good_specs_survive_a_round_trip(spec):
    read = GemmaDeploymentSpec.model_validate(spec)
    written = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert written == spec
    assert GemmaDeploymentSpec.model_validate(written) == read


def test_pod_parts_stay_the_dictionaries_that_pods_have():
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    spec = GemmaDeploymentSpec.model_validate({"pod": {"env": env, "resources": {"requests": {"cpu": 4}}}})
    assert spec.pod.env == env
    assert spec.pod.resources == {"requests": {"cpu": "4"}}


@pytest.mark.parametrize(
    ("name", "key"),
    [("auto", None), ("E4B", "e4b"), ("26B", "26b-a4b"), ("31B", "31b"), ("google/gemma-4-31B-it", "31b")],
)
def test_known_names(name, key):
    assert model_key(name) == key


@pytest.mark.parametrize(("text", "amount"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h", 7200)])
def test_durations_in_seconds(text, amount):
    assert seconds(text) == amount


@pytest.mark.parametrize(
    ("given", "startup", "expected"), [(None, None, 600), (None, 180, 600), (None, 900, 1350), ("20s", 900, 20)]
)
def test_a_request_is_kept_for_longer_than_a_start_takes(given, startup, expected):
    assert hold_seconds(Scaling(hold_timeout=given), startup=startup) == expected
