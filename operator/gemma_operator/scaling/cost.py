"""The cost model: what a step of the engine takes, learnt from its counters, and whether that fits."""

import math
from dataclasses import replace
from typing import Final

from gemma_operator.scaling import constants as k
from gemma_operator.scaling.types import CostModel, Counters, PodSample

_Matrix = tuple[tuple[float, float, float], ...]
_Fixed = tuple[float | None, float | None, float | None]

_CHOICES: Final[list[_Fixed]] = [
    (base, sequence, prompt)
    for base in (None, *k.LIMITS[0])
    for sequence in (None, *k.LIMITS[1])
    for prompt in (None, *k.LIMITS[2])
]
_FIXED: Final = sorted(_CHOICES, key=lambda fixed: sum(each is not None for each in fixed))
"""Every choice of coefficients at a limit, those with none first."""


def is_busy(before: Counters, now: PodSample) -> bool:
    """Whether the pod surely worked all the time between two samples."""
    return (
        before.running >= k.BUSY_RUNNING
        and now.running >= k.BUSY_RUNNING
        and 0 < now.at - before.at < k.BUSY_LONGEST
        and now.steps >= before.steps
        and now.generation_tokens >= before.generation_tokens
        and now.prompt_tokens >= before.prompt_tokens
    )


def predict(model: CostModel, steps: float, generated: float, prompt: float) -> float:
    """Seconds that this work takes."""
    return model.base * steps + model.per_sequence * generated + model.per_prompt_token * prompt


def learn(model: CostModel, seconds: float, *, steps: float, generated: float, prompt: float) -> CostModel:
    """With one busy interval more."""
    miss = abs(predict(model, steps, generated, prompt) - seconds)
    keep = math.exp(-seconds / k.FIT_FORGETS)
    forget = math.exp(-seconds / k.MODEL_FORGETS)
    row = (
        steps * steps,
        steps * generated,
        steps * prompt,
        generated * generated,
        generated * prompt,
        prompt * prompt,
        steps * seconds,
        generated * seconds,
        prompt * seconds,
    )
    s = model.sums
    return replace(
        model,
        sums=(
            s[0] * forget + row[0],
            s[1] * forget + row[1],
            s[2] * forget + row[2],
            s[3] * forget + row[3],
            s[4] * forget + row[4],
            s[5] * forget + row[5],
            s[6] * forget + row[6],
            s[7] * forget + row[7],
            s[8] * forget + row[8],
        ),
        error=model.error * keep + miss,
        measured=model.measured * keep + seconds,
    )


def solve(model: CostModel) -> CostModel:
    """The coefficients of the sums: least squares with a ridge towards the prior, within limits.

    Where one leaves its limits, it is set to the limit and the others are solved anew: clipping a coefficient by
    itself would spoil the prediction, since steps and generated tokens go together.
    """
    xx, xy, xz, yy, yz, zz, *right = model.sums
    ridges = [weight + 0.001 * diagonal for weight, diagonal in zip(k.RIDGE, (xx, yy, zz), strict=True)]
    matrix = (
        (xx + ridges[0], xy, xz),
        (xy, yy + ridges[1], yz),
        (xz, yz, zz + ridges[2]),
    )
    side = tuple(value + ridge * prior for value, ridge, prior in zip(right, ridges, k.PRIOR, strict=True))
    best: tuple[float, ...] | None = None
    least = math.inf
    for fixed in _FIXED:
        found = _solve_free(matrix, side, fixed)
        if found is None or not all(low <= x <= high for x, (low, high) in zip(found, k.LIMITS, strict=True)):
            continue
        loss = sum(found[i] * (sum(matrix[i][j] * found[j] for j in range(3)) - 2 * side[i]) for i in range(3))
        if loss < least:
            best, least = found, loss
        if not any(each is not None for each in fixed):
            break
    if best is None:
        return model
    return replace(model, base=best[0], per_sequence=best[1], per_prompt_token=best[2])


def _solve_free(matrix: _Matrix, side: tuple[float, ...], fixed: _Fixed) -> tuple[float, ...] | None:
    """Solve for the coefficients that are not fixed, by elimination; `None` when that cannot be done."""
    free = [i for i in range(3) if fixed[i] is None]
    values = [0.0 if value is None else value for value in fixed]
    rows = [
        [*(matrix[i][j] for j in free), side[i] - sum(matrix[i][j] * values[j] for j in range(3) if j not in free)]
        for i in free
    ]
    for pivot in range(len(free)):
        if rows[pivot][pivot] <= 0 or not math.isfinite(rows[pivot][pivot]):
            return None
        for below in range(pivot + 1, len(free)):
            factor = rows[below][pivot] / rows[pivot][pivot]
            rows[below] = [x - factor * y for x, y in zip(rows[below], rows[pivot], strict=True)]
    for pivot in reversed(range(len(free))):
        rest = sum(rows[pivot][column] * values[free[column]] for column in range(pivot + 1, len(free)))
        values[free[pivot]] = (rows[pivot][-1] - rest) / rows[pivot][pivot]
    return tuple(values)


def misfit(model: CostModel) -> float:
    """Mean relative error of the busy time predicted before each interval was learnt from."""
    return model.error / model.measured if model.measured else 0.0


def is_poor(model: CostModel) -> bool:
    """Whether the model must not be used. Without enough busy time it is not judged."""
    return model.measured >= k.FIT_NEEDS and misfit(model) > k.FIT_POOR


def decode_weight(model: CostModel, batch: float) -> float:
    """Seconds of engine time that one generated token costs in a full batch."""
    return (model.base + model.per_sequence * batch) / batch
