"""Read and check the operator's configuration file."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.errors import ConfigurationError


def load_config(path: Path | None) -> OperatorConfig:
    """The configuration in a YAML file, or the defaults without one; raises `ConfigurationError` naming the field."""
    if path is None:
        return OperatorConfig()
    try:
        data = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not YAML: {error}") from error
    try:
        return OperatorConfig.model_validate(data)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_url=False)
        ]
        raise ConfigurationError(f"{path}: " + "; ".join(wrong)) from error
