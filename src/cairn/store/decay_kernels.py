"""Moments shrunk step by step, each step rounded as the optimizer rounds it: IEEE 754, strictly.

In runs that stay in the first cache while all steps are made.
"""

from typing import Any

import numpy as np

from cairn.compiled import compiled

Array = np.ndarray[Any, Any]

RUN_ELEMENTS = 2048


@compiled()
def multiply(values: Array, factor: Any, steps: int) -> None:
    """`factor` times each float32 value, so many times over."""  # (n,)
    for start in range(0, values.size, RUN_ELEMENTS):
        run = values[start : start + RUN_ELEMENTS]
        for _ in range(steps):
            for i in range(run.size):
                run[i] = run[i] * factor


@compiled()
def move_towards_zero(values: Array, factor: Any, steps: int) -> None:
    """Each float32 value less `factor` times itself, rounded once, so many times over.

    The product of two float32 numbers is exact in float64, so that rounding the sum there and
    then to float32 is what a fused multiply-add gives, but for rare ties.
    """  # (n,)
    for start in range(0, values.size, RUN_ELEMENTS):
        run = values[start : start + RUN_ELEMENTS]
        for _ in range(steps):
            for i in range(run.size):
                value = np.float64(run[i])
                run[i] = np.float32(value - factor * value)
