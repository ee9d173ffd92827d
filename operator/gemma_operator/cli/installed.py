"""The configuration of the operator that watches a namespace: a cluster may hold several installations."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from gemma_operator.cluster.resources import Object

CONFIG_LABEL: Final = "app.kubernetes.io/part-of=gemma4-stack"
_KEY: Final = "config.yaml"
Configuration = Mapping[str, Any]


def configuration_for(namespaces: Collection[str], config_maps: Iterable[Object]) -> tuple[Configuration | None, str]:
    """The configuration of whoever watches all these namespaces, and what a person should know of the choice."""
    found = [(_where(each), _read(each)) for each in config_maps if (each.get("data") or {}).get(_KEY) is not None]
    if not found:
        return None, "no operator is installed by the chart here: its default configuration is used"
    asked = " and ".join(sorted(namespaces))
    watching = [each for each in found if _watches(each[1], namespaces)]
    where, config = (watching or found)[0]
    if not namespaces:
        return config, ""
    if not watching:
        return config, f"no installed operator watches {asked} ({_told(found)}): the configuration of {where} is used"
    if len(watching) > 1:
        return config, f"several operators watch {asked} ({_told(watching)}): the configuration of {where} is used"
    return config, ""


def _watches(config: Configuration, namespaces: Collection[str]) -> bool:
    watched = config.get("namespaces")
    return not watched or set(namespaces) <= set(watched)


def _told(found: Sequence[tuple[str, Configuration]]) -> str:
    return ", ".join(where for where, _ in found)


def _where(config_map: Object) -> str:
    metadata = config_map["metadata"]
    return f"{metadata.get('namespace', 'default')}/{metadata['name']}"


def _read(config_map: Object) -> Configuration:
    data = yaml.safe_load(config_map["data"][_KEY])
    return data if isinstance(data, Mapping) else {}
