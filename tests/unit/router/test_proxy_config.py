"""What the renderer takes from here: the configuration, the environment and the source."""

from __future__ import annotations

import subprocess
import sys

import yaml
from gemma_router import proxy_config, source


def test_nothing_in_the_configuration_changes_with_a_deployment() -> None:
    config = proxy_config.litellm_config()
    assert config["model_list"] == []
    assert yaml.safe_load(yaml.safe_dump(config)) == config
    assert proxy_config.litellm_config() == config


def test_the_grace_period_is_longer_than_what_must_fit_in() -> None:
    grace = proxy_config.TERMINATION_GRACE_SECONDS
    assert grace > proxy_config.PRE_STOP_SECONDS + proxy_config.SHUTDOWN_SECONDS
    assert float(proxy_config.ENVIRONMENT["GRACEFUL_SHUTDOWN_TIMEOUT"]) >= proxy_config.REQUEST_TIMEOUT_SECONDS


def test_no_secret_is_literal() -> None:
    assert not {name for name in proxy_config.ENVIRONMENT if name.endswith("KEY")}


def test_the_source_is_flat_whole_and_compiles() -> None:
    files = source.files()
    assert {"__init__.py", "startup.py", "litellm_seam.py", "proxy_config.py"} <= files.keys()
    assert list(files) == sorted(files)
    for name, text in files.items():
        assert "/" not in name
        compile(text, name, "exec")
    # A ConfigMap holds 1 MiB.
    assert sum(map(len, files.values())) < 500_000


def test_the_hook_and_the_auth_function_are_where_the_configuration_says() -> None:
    files = source.files()
    package, _, function = proxy_config.HOOK.partition(":")
    assert f"async def {function}(" in files[package.partition(".")[2] + ".py"]
    module, _, function = proxy_config.CUSTOM_AUTH.rpartition(".")
    assert f"async def {function}(" in files[module.partition(".")[2] + ".py"]


def test_the_renderer_imports_no_litellm() -> None:
    code = "import sys, gemma_router.proxy_config, gemma_router.source; sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
