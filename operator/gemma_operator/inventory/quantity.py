"""Kubernetes quantities (`500m`, `16Gi`, `1e3`) as integers.

Amounts round up, as the scheduler's own `Value` and `MilliValue` do (k8s.io/apimachinery/pkg/api/resource).
"""

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Final

_QUANTITY: Final = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)")
_SUFFIX: Final[dict[str, Decimal]] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}


def _value(quantity: str | int | float) -> Decimal:
    text = str(quantity).strip()
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no Kubernetes quantity: write one such as 500m, 4 or 16Gi")
    number, exponent, suffix = match.groups()
    return Decimal(number + (exponent or "")) * _SUFFIX[suffix or ""]


@lru_cache(maxsize=65_536)
def whole(quantity: str | int | float) -> int:
    """Bytes, devices or pods; raises `ValueError` for text that is no quantity."""
    return int(_value(quantity).to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=65_536)
def millis(quantity: str | int | float) -> int:
    """Thousandths of a CPU; raises `ValueError` for text that is no quantity."""
    return int((_value(quantity) * 1000).to_integral_value(ROUND_CEILING))
