"""The bounds of a decision, in order: what runs or is held, min and max, cost, supply."""

from gemma_operator.scaling.types import Bounds


def clip(wanted: int, bounds: Bounds, *, needed: int, current: int) -> tuple[int, str]:
    """The number within the bounds, and the bound that kept it from more.

    `needed`: below what runs or is held nothing goes, except to obey an upper bound. Supply stops growth and takes
    nothing away: replicas that GPUs no longer allow are withdrawn by who sees that they cannot be scheduled.
    """
    after = max(wanted, needed, bounds.minimum)
    capped = ""
    if after > bounds.maximum:
        after, capped = bounds.maximum, "max"
    if bounds.affordable is not None and after > bounds.affordable:
        after, capped = bounds.affordable, "maxCostPerHour"
    if bounds.supply is not None and after > bounds.supply:
        after, capped = max(bounds.supply, min(current, after)), "supply"
    return max(after, 0), capped
