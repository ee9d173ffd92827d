"""What the operator renders is what the engine takes: the golden manifests, started as far as the configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from engine_standin.config import build_config
from engine_standin.flags import parse
from engine_standin.settings import read_settings

FOLDER = Path(__file__).resolve().parents[1] / "render" / "golden"


def engine_containers() -> dict[str, dict[str, Any]]:
    """Return the engine container of every golden file that has one."""
    return {
        path.stem: container
        for path in sorted(FOLDER.glob("*.yaml"))
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if manifest and manifest["kind"] == "Deployment"
        for container in manifest["spec"]["template"]["spec"]["containers"]
        if container["name"] == "engine"
    }


ENGINES = engine_containers()


def test_there_are_shapes() -> None:
    assert len(ENGINES) >= 8


@pytest.mark.parametrize("name", ENGINES)
def test_rendered_arguments_start_an_engine(name: str, tmp_path: Path) -> None:
    container = ENGINES[name]
    env = {item["name"]: item.get("value", "secret") for item in container["env"]}
    folders = {"HOME": str(tmp_path), "VLLM_CACHE_ROOT": str(tmp_path)}
    config = build_config(parse(container["args"]), read_settings(env), env={**env, **folders})
    assert config.api_keys == (("secret",) if "VLLM_API_KEY" in env else ())
    assert config.shutdown_timeout > 0
    assert bool(config.tool_parser) == ("--enable-auto-tool-choice" in container["args"])
    assert config.kv_tokens >= config.max_model_len
