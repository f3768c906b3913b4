"""Low-rank updates: what a pair of matrices adds to a weight, and the best pair for a change.

LoRA: arXiv 2106.09685. Layouts are PEFT's, `get_delta_weight` in
https://github.com/huggingface/peft/blob/main/src/peft/tuners/lora/layer.py:

    linear      A (r, in)        B (out, r)        B A            (out, in)
    Conv1D      A (r, in)        B (out, r)        (B A)^T        (in, out)
    embedding   A (r, words)     B (width, r)      (B A)^T        (words, width)
    convolution A (r, in, k, k)  B (out, r, 1, 1)  B A            (out, in, k, k)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_WHOLE = 1024
"""Up to this many rows or columns all singular values are computed, beyond only the first."""
_OVERSAMPLED = 10
_POWER_STEPS = 4


@dataclass(frozen=True, slots=True)
class Extracted:
    """The pair nearest to a change, in the linear layout, and the share of its energy that it is.

    Energy is the sum of squares; the relative error is the root of what is left of it.
    """

    down: Floats  # (r, in)
    up: Floats  # (out, r)
    energy_kept: float

    @property
    def relative_error(self) -> float:
        """Norm of what the pair leaves out, over that of the change."""
        return float(np.sqrt(max(0.0, 1.0 - self.energy_kept)))


def update_of(down: NDArray[Any], up: NDArray[Any], scale: float, *, is_transposed: bool) -> Floats:
    """What a pair adds to its weight; see the table above."""
    rank = down.shape[0]
    flat_down = down.astype(np.float32).reshape(rank, -1)
    flat_up = up.astype(np.float32).reshape(up.shape[0], -1)
    found = (flat_up @ flat_down) * np.float32(scale)
    if is_transposed:
        return np.ascontiguousarray(found.T)
    return found.reshape(up.shape[0], *down.shape[1:])


def nearest_pair(change: Floats, rank: int, seed: int = 0) -> Extracted:
    """The pair of this rank nearest to a matrix (out, in), by its first singular vectors.

    Of a large matrix they are found in a random subspace, sharpened by power iterations
    (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4), the same for the same `seed`.
    """
    rank = min(rank, *change.shape)
    if min(change.shape) <= max(_WHOLE, rank + _OVERSAMPLED):
        left, values, right = np.linalg.svd(change, full_matrices=False)
    else:
        basis = _subspace(change, rank + _OVERSAMPLED, seed)
        left, values, right = np.linalg.svd(basis.T @ change, full_matrices=False)
        left = basis @ left
    roots = np.sqrt(values[:rank])
    whole = float(np.square(change, dtype=np.float64).sum())
    kept = float(np.square(values[:rank], dtype=np.float64).sum())
    return Extracted(
        down=np.ascontiguousarray(right[:rank] * roots[:, None]).astype(np.float32),
        up=np.ascontiguousarray(left[:, :rank] * roots).astype(np.float32),
        energy_kept=min(1.0, kept / whole) if whole else 1.0,
    )


def _subspace(change: Floats, width: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((change.shape[1], width), dtype=np.float32)
    basis = np.linalg.qr(change @ drawn)[0]
    for _ in range(_POWER_STEPS):
        basis = np.linalg.qr(change.T @ basis)[0]
        basis = np.linalg.qr(change @ basis)[0]
    return basis
