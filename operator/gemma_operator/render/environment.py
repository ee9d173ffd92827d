"""Jinja templates → objects. Every value enters a template through `tojson`, so that no value can change its shape."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined

from gemma_operator.render.types import Object

_ESCAPED: Final = re.compile(r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|.)")


def to_json(value: Any) -> str:
    """JSON that YAML 1.1 reads as the same value.

    Differs from `json.dumps` where PyYAML does: a character beyond the BMP is one escape and not two, and an
    exponent has a decimal point before it.
    """
    if isinstance(value, Undefined):
        # Strict: this raises, and names the value.
        return str(value)
    if isinstance(value, str):
        return _ESCAPED.sub(_joined, json.dumps(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_json(str(key))}: {to_json(value[key])}" for key in value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_json, value)) + "]"
    if isinstance(value, float):
        mantissa, exponent, power = json.dumps(value, allow_nan=False).partition("e")
        return mantissa if not exponent else f"{mantissa if '.' in mantissa else mantissa + '.0'}e{power}"
    return json.dumps(value, allow_nan=False)


def _joined(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    code = 0x10000 + ((int(match[1], 16) - 0xD800) << 10) + (int(match[2], 16) - 0xDC00)
    return f"\\U{code:08x}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gemma_operator.render"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # YAML, not HTML; `to_json` is what keeps values inside their quotes.
        autoescape=False,
    )
    environment.filters["tojson"] = to_json
    return environment


_ENVIRONMENT: Final = _environment()


def render(template: str, **values: Any) -> Object:
    """The object that `templates/<template>.yaml.j2` gives for these values.

    Raises `jinja2.UndefinedError` for a value that the template needs and did not get.
    """
    text = _ENVIRONMENT.get_template(f"{template}.yaml.j2").render(**values)
    return cast(Object, yaml.load(text, Loader=yaml.CSafeLoader))


def config_map(name: str, data: Mapping[str, str], **values: Any) -> Object:
    """A ConfigMap with these texts; no part of its template, since parsing them would cost far more than the rest."""
    return {**render("config-map", name=name, **values), "data": dict(data)}
