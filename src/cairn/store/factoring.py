"""How many directions a difference of matrices has, and the two thin matrices that make it.

A random projection of a matrix shows its large directions (Halko, Martinsson, Tropp: Finding
structure with randomness, 2011, https://arxiv.org/abs/0909.4061). What the merged weights were
rounded by is noise in the difference, as large as a weight's unit of the last place: so the
factors found are fitted again, by least squares in which a small weight, which was rounded by
little, counts more than a large one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cairn.domain import DType
from cairn.store.matrix_difference import BLOCK_ELEMENTS, MatrixDifference

# Of a difference, so many rows are looked at, in groups evenly spread, with their columns added
# up, at random signs, to so few.
SAMPLED_ROWS = 192
GROUP_ROWS = 32
PROBES = 80
LEAST_PROBES = 16

# Adapters of higher rank are rare.
MAX_RANK = 64

# Directions beyond those wanted make it unlikely that a wanted one is missed.
OVERSAMPLING = 8

# Fits of the factors to the rounded difference: the third still saves 0.1 bit on bfloat16. One
# takes rank^2 operations per element; no tensor may take more than some seconds of them.
FITS = 4
MAX_FIT_WORK = 1 << 32
MAX_FIT_NUMBERS = 1 << 21  # a fit keeps rank^2 numbers per column

# A direction stands out of the noise if it is this much larger than noise alone makes any.
ABOVE_NOISE = 1.3

# A rank pays only if it saves this much per element, and this share of the difference: trying it
# reads the tensor several times.
MIN_SAVED_BITS = 0.5
MIN_SAVED_SHARE = 0.03
# What a number of a factor takes beyond the bits of the difference it makes.
NUMBER_BITS = 4.0

_MANTISSA_BITS = {DType.F32: 23, DType.BF16: 7, DType.F16: 10}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Promise:
    """What factors of a rank would probably save."""

    rank: int
    saved_bits: float  # per element


def promise_of(difference: MatrixDifference) -> Promise | None:
    """The rank at which factors would save most; None: they would not save enough.

    This is asked of every fine-tune: no BLAS, whose threads wait busily after small products.

    Raises:
        IntegrityError: the base is not to be had.
    """
    values, base = _sample(difference)
    # In single precision, of which a tenth of the digits would do: wider takes twice as long.
    with np.errstate(over="ignore", invalid="ignore"):
        change = values - base
    if not (np.isfinite(values).all() and np.isfinite(change).all()):
        return None
    bits = _bits(values[::4], change[::4], difference.dtype)
    changed = change[change.any(axis=1)]
    probes = min(PROBES, *changed.shape)
    if probes < LEAST_PROBES or bits < MIN_SAVED_BITS:
        return None
    changed = _at_one_scale(changed)
    left = _left_by_rank(_folded(changed, probes), 3 * probes // 4)
    ranks = np.arange(1, len(left) + 1)
    # Of a difference without directions, this is about what a rank leaves.
    by_chance = (1 - ranks / probes) * (1 - ranks / max(len(changed), probes + 1))
    saved = 0.5 * np.log2(by_chance / np.maximum(left, 1e-30)) * len(changed) / len(change)
    saved = np.minimum(saved, bits)
    per_rank = (difference.rows + difference.columns) / difference.elements
    saved -= ranks * per_rank * (bits + NUMBER_BITS)
    best = int(np.argmax(saved))
    if saved[best] < max(MIN_SAVED_BITS, MIN_SAVED_SHARE * bits):
        return None
    return Promise(int(ranks[best]), float(saved[best]))


def factored(difference: MatrixDifference, rank: int) -> tuple[Array, Array] | None:
    """Matrices (rows, n) and (n, columns) whose product is near the difference.

    n is the number of directions that stand out of what rounding leaves; `rank` where there is
    no end to them, as in the steps of a training. Reads the difference three times and once per
    fit; takes memory for some 70 rows and columns and a few blocks. None where it holds infinities.

    Raises:
        IntegrityError: the base is not to be had.
    """
    width = min(MAX_RANK + OVERSAMPLING, difference.rows, difference.columns)
    right = np.random.default_rng(1).standard_normal((difference.columns, width))
    seen = _times(difference, right)
    if not np.isfinite(seen).all():
        return None
    left = np.linalg.qr(seen)[0]
    right = np.linalg.qr(_transposed_times(difference, left))[0]
    left, right, sizes = _balanced(_times(difference, right), right.T)
    standing = int(np.count_nonzero(sizes > ABOVE_NOISE * _loudest_noise(difference)))
    is_adapter = 0 < standing <= min(MAX_RANK, width // 2)
    rank = standing if is_adapter else rank
    left, right = left[:, :rank], right[:rank]
    for _ in range(_fits(difference, rank) if is_adapter else 0):
        fitted = _fit(difference, right)
        if fitted is None:
            break
        left, right = fitted
    return _balanced(left, right)[:2]


def typical_unit(difference: MatrixDifference) -> float:
    """The unit of the last place of a value of middling size."""
    values = difference.block(difference.rows // 2, 1)[1]
    return float(np.median(_units(values, difference.dtype)))


def _bits(values: Array, change: Array, dtype: DType) -> float:
    """What a plain difference takes per element: that of its size in units of the last place."""
    return float(np.mean(np.log2(1 + np.abs(change) / _units(values, dtype)))) if change.size else 0


def _sample(difference: MatrixDifference) -> tuple[Array, Array]:
    """Some rows of the values and of the base's values (n, columns) in float32."""
    most = min(SAMPLED_ROWS, 16 * BLOCK_ELEMENTS // difference.columns, difference.rows)
    taken = min(GROUP_ROWS, most)
    if not taken:
        return np.empty((0, 0), np.float32), np.empty((0, 0), np.float32)
    starts = np.linspace(0, difference.rows - taken, most // taken).astype(np.int64)
    found = [difference.block(int(start), taken) for start in starts]
    return np.concatenate([b[1] for b in found]), np.concatenate([b[2] for b in found])


def _at_one_scale(change: Array) -> Array:
    """Rows, none of them zero, at the same length, which keeps the rank.

    Bits count rows alike, energies do not: the few rows of an embedding whose tokens occurred
    would pass for the directions of all.
    """
    rows = change / np.abs(change).max(axis=1, keepdims=True)  # so that no square overflows
    scaled: Array = rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return scaled


def _folded(change: Array, probes: int) -> Array:
    """The columns, at random signs, added up to `probes`: a matrix of the same rank."""
    height, columns = change.shape
    signs = np.random.default_rng(0).choice(np.array([-1, 1], change.dtype), columns)
    padded = np.zeros((height, -(-columns // probes) * probes), change.dtype)
    np.multiply(change, signs, out=padded[:, :columns])
    folded: Array = padded.reshape(height, -1, probes).sum(axis=1, dtype=np.float64)
    return folded


def _left_by_rank(folded: Array, ranks: int) -> Array:
    """The share of energy left once 1, 2, ... directions are taken out, the largest column's."""
    from cairn.store import factoring_kernels  # numba takes half a second: only when needed

    energies = np.empty(ranks + 1)
    taken = factoring_kernels.energies_left(np.ascontiguousarray(folded.T), energies)
    left: Array = energies[1 : taken + 1] / energies[0]
    return left


def _loudest_noise(difference: MatrixDifference) -> float:
    """The largest singular value of what rounding leaves: Bai-Yin, for independent errors."""
    values, base = _sample(difference)
    variance = float(np.mean(_noise(values, values - base, difference.dtype))) / 12
    return float(np.sqrt(variance) * (np.sqrt(difference.rows) + np.sqrt(difference.columns)))


def _times(difference: MatrixDifference, right: Array) -> Array:
    return np.concatenate([(v.astype(np.float64) - b) @ right for _, v, b in difference.blocks()])


def _transposed_times(difference: MatrixDifference, left: Array) -> Array:
    total = np.zeros((difference.columns, left.shape[1]))
    for first, values, base in difference.blocks():
        total += (values.astype(np.float64) - base).T @ left[first : first + len(values)]
    return total


def _balanced(left: Array, right: Array) -> tuple[Array, Array, Array]:
    """The product's directions, the largest first and each as large on either side; sizes."""
    lefts, inner = np.linalg.qr(left)
    rights, outer = np.linalg.qr(right.T)
    one, sizes, other = np.linalg.svd(inner @ outer.T)
    roots = np.sqrt(sizes)
    return lefts @ one * roots, roots[:, None] * (other @ rights.T), sizes


def _fits(difference: MatrixDifference, rank: int) -> int:
    if rank**2 * difference.columns > MAX_FIT_NUMBERS:
        return 0
    return min(FITS, MAX_FIT_WORK // (2 * rank**2 * difference.elements))


def _fit(difference: MatrixDifference, right: Array) -> tuple[Array, Array] | None:
    """The best left factor for this right one, and the best right one for that."""
    rank, columns = right.shape
    squares = _squares(right.T)  # (columns, rank^2)
    normal = np.zeros((columns, rank**2))
    wanted = np.zeros((columns, rank))
    lefts = []
    floor = typical_unit(difference) / 1024
    try:
        for _, values, base in difference.blocks():
            change = values.astype(np.float64) - base
            weights = _weights(_noise(values, change, difference.dtype), floor)
            left = _solved(weights @ squares, (weights * change) @ right.T)
            lefts.append(left)
            normal += weights.T @ _squares(left)
            wanted += (weights * change).T @ left
        return np.concatenate(lefts), _solved(normal, wanted).T
    except np.linalg.LinAlgError:  # a row or column without a single solution
        return None


def _weights(noise: Array, floor: float) -> Array:
    """How much each entry counts in a fit."""
    weights: Array = floor**2 / np.maximum(noise, floor**2)
    return weights


def _noise(values: Array, change: Array, dtype: DType) -> Array:
    """Squares of the units that the sum, and the update before it, may have been rounded to."""
    noise: Array = _units(values, dtype) ** 2 + _units(change.astype("<f4"), dtype) ** 2
    return noise


def _units(values: Array, dtype: DType) -> Array:
    """The units of the last place of float32 values once they are of this type."""
    return np.spacing(np.abs(values)).astype(np.float64) * 2.0 ** (23 - _MANTISSA_BITS[dtype])


def _squares(rows: Array) -> Array:
    """The products of every two numbers of each row (n, rank) -> (n, rank^2)."""
    return (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)


def _solved(normal: Array, wanted: Array) -> Array:
    """The solutions (n, rank) of n systems of equations."""
    rank = wanted.shape[1]
    answer: Array = np.linalg.solve(normal.reshape(-1, rank, rank), wanted[..., None])[..., 0]
    return answer
