"""What the container's environment may say."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from gemma_router.kube import KubeApi
from gemma_router.logs import JsonFormatter
from gemma_router.settings import Settings, SettingsInvalid
from gemma_router.watch import BACKOFF_SECONDS, backoff

GOOD = {
    "GEMMA_ROUTER_NAME": "gemma-router",
    "POD_NAMESPACE": "team",
    "LITELLM_MASTER_KEY": "sk-master",
    "GEMMA_ENGINE_KEY": "engine",
}


def test_defaults() -> None:
    settings = Settings.from_environment(GOOD)
    assert settings.hold_seconds == 300
    assert settings.hold_queue == 1000
    assert settings.comment_seconds == 15
    assert settings.drain_seconds == 600
    assert settings.keys_dir == Path("/etc/gemma-router/keys")
    assert settings.state_port == 4001


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [None, " "])
def test_what_is_missing_is_named(name: str, value: str | None) -> None:
    environ = {key: text for key, text in GOOD.items() if key != name}
    if value is not None:
        environ[name] = value
    with pytest.raises(SettingsInvalid, match=name):
        Settings.from_environment(environ)


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_a_number_that_is_none_is_named(value: str) -> None:
    with pytest.raises(SettingsInvalid, match="GEMMA_HOLD_SECONDS"):
        Settings.from_environment({**GOOD, "GEMMA_HOLD_SECONDS": value})


@pytest.mark.parametrize(
    ("host", "url"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_the_api_of_the_cluster(host: str, url: str) -> None:
    api = KubeApi.from_environment({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"})
    assert api.url == url
    assert api.token_file == Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def test_outside_a_cluster_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="KUBERNETES_SERVICE_HOST"):
        KubeApi.from_environment({})


def test_backoff_grows_is_capped_and_never_zero() -> None:
    low, high = BACKOFF_SECONDS
    assert all(low / 2 <= backoff(1) <= low for _ in range(50))
    assert all(high / 2 <= backoff(1000) <= high for _ in range(50))


def test_a_log_line_is_one_json_object() -> None:
    record = logging.LogRecord("gemma_router.x", logging.ERROR, "f", 1, "two\nlines %s", ("now",), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "two\nlines now"
    assert json.loads(line)["level"] == "error"
