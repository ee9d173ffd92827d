"""How long an engine may take to start."""

import math
from typing import Final

from gemma_operator.api.config import OperatorConfig
from gemma_operator.planner.types import Pool

BASE_SECONDS: Final = 600
"""Imports, loading, compilation, CUDA graphs and profiling: 5–7 min were seen on a first start of 31B at TP 2."""
CPU_BASE_SECONDS: Final = 900
DOWNLOAD_BYTES_PER_SECOND: Final = 40e6
"""A slow but working connection to the weights; faster ones only leave more of the budget."""


MEASURED_FACTOR: Final = 3
"""A start that takes longer than so many usual ones is given up."""


def startup_budget_seconds(*, pool: Pool, config: OperatorConfig, measured: int | None = None) -> int:
    """Seconds that a start of one replica may take before its container is restarted, in whole minutes.

    The configured budget wins, else it is derived from the bytes to download, and is longer where `measured`, the
    seconds that nine of ten starts took, says so. It is never shorter: the next node may have to download.
    """
    if config.engine.startup_budget_seconds is not None:
        return config.engine.startup_budget_seconds
    base = BASE_SECONDS if pool.resource else CPU_BASE_SECONDS
    derived = base + pool.weights_bytes / DOWNLOAD_BYTES_PER_SECOND
    return 60 * math.ceil(max(derived, MEASURED_FACTOR * (measured or 0)) / 60)
