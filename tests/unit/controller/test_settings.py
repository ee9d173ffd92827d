"""A configuration that is wrong keeps the operator from starting, with the field and what to do."""

from pathlib import Path

import pytest
from gemma_operator.api.errors import ConfigurationError
from gemma_operator.controller.settings import load_config


def test_a_denied_engine_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("engine: {version: 0.27.0}\n")
    with pytest.raises(ConfigurationError) as refused:
        load_config(path)
    assert str(refused.value).startswith(f"{path}: engine.version: vLLM 0.27.0 is denied: ")
    assert "use 0.28.0 or newer" in str(refused.value)
