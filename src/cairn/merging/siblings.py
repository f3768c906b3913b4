"""One weight made of the same weight of several models.

    linear   sum(w_i x_i) / sum(w_i)
    slerp    along the arc between two, at the part `t` of it (Shoemake, 1985)
    ties     base + l * mean of what agrees in sign: arXiv 2306.01708, section 3
    dare     base + l * sum(w_i d_i / density) of changes d_i dropped by chance: arXiv 2311.03099

Trimming and dropping are done weight by weight.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from cairn.errors import RequestError

Floats = NDArray[np.float32]
_BLOCK = 1 << 15  # elements: a dozen arrays of so many fit into the second level of a cache
_PARALLEL = 0.9995  # above this cosine the arc is as good as the line between them


class Method(Enum):
    """How the weights of several models become one."""

    LINEAR = "linear"
    SLERP = "slerp"
    TIES = "ties"
    DARE = "dare"

    @property
    def needs_base(self) -> bool:
        """Whether changes from a common base are merged."""
        return self in (Method.TIES, Method.DARE)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to merge: `weights` one for each model; `t` from 0, the first of two, to 1.

    `density` is the share of each change that is kept, `scale` multiplies the merged change.

    Raises:
        RequestError: a number is out of its range, or does not fit the method.
    """

    method: Method
    weights: tuple[float, ...]
    t: float = 0.5
    density: float = 0.2
    scale: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not all(np.isfinite(self.weights)) or not np.isfinite(self.scale):
            raise RequestError("weights and scale are finite numbers")
        if not 0 < self.density <= 1:
            raise RequestError(f"density {self.density} is not above 0 and at most 1")
        if not 0 <= self.t <= 1:
            raise RequestError(f"t {self.t} is not in 0 to 1")
        if self.method is Method.SLERP and len(self.weights) != 2:
            raise RequestError(f"slerp is between 2 models, there are {len(self.weights)}")
        if self.method is Method.TIES and min(self.weights, default=0) < 0:
            raise RequestError("weights are not below 0 for ties, which takes a mean by them")
        total = abs(sum(self.weights))
        if self.method is Method.LINEAR and not 1e-9 < total < np.inf:
            raise RequestError(f"the weights add up to {total}, and linear divides by that")


def merge(recipe: Recipe, name: str, values: Sequence[Floats], base: Floats | None) -> Floats:
    """The merged weight called `name`; `base` where the method needs one.

    The arrays handed over are worked in and hold nothing of use afterwards.
    """
    if recipe.method is Method.LINEAR:
        return _linear(values, recipe.weights)
    if recipe.method is Method.SLERP:
        return slerp(values[0], values[1], recipe.t)
    assert base is not None  # whoever calls this has seen `needs_base`
    changes = [np.subtract(value, base, out=value) for value in values]
    if recipe.method is Method.TIES:
        merged = ties(changes, recipe.weights, recipe.density)
    else:
        merged = _dare(changes, recipe, name)
    merged *= np.float32(recipe.scale)
    merged += base
    return merged


def _linear(values: Sequence[Floats], weights: Sequence[float]) -> Floats:
    shares = [np.float32(weight / sum(weights)) for weight in weights]
    total = np.multiply(values[0], shares[0], out=values[0])
    for value, share in zip(values[1:], shares[1:], strict=True):
        total += np.multiply(value, share, out=value)
    return total


def slerp(first: Floats, second: Floats, t: float) -> Floats:
    """Between two weights taken as vectors; a zero vector and parallel ones have no arc."""
    norms = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    cosine = float(np.vdot(first, second)) / norms if norms else 1.0
    if abs(cosine) > _PARALLEL:
        return (1 - np.float32(t)) * first + np.float32(t) * second
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    parts = np.sin((1 - t) * angle) / np.sin(angle), np.sin(t * angle) / np.sin(angle)
    return np.float32(parts[0]) * first + np.float32(parts[1]) * second


def ties(changes: Sequence[Floats], weights: Sequence[float], density: float) -> Floats:
    """Trim each change to its largest, elect a sign, and take the mean of those that have it."""
    leasts = [threshold(change, density) for change in changes]
    flat = [change.reshape(-1) for change in changes]
    shares = [np.float32(weight) for weight in weights]
    merged = np.empty_like(flat[0])
    for part in _blocks(merged.size):
        trimmed = [_at_least(one[part], least) for one, least in zip(flat, leasts, strict=True)]
        merged[part] = _elected_mean(trimmed, shares)
    return merged.reshape(changes[0].shape)


def _at_least(values: Floats, least: np.float32) -> Floats:
    kept: Floats = values * (np.abs(values) >= least)
    return kept


def _elected_mean(trimmed: Sequence[Floats], shares: Sequence[np.float32]) -> Floats:
    """Masks are multiplied with: NumPy's `where` takes ten times as long."""
    votes = np.zeros_like(trimmed[0])
    for change, share in zip(trimmed, shares, strict=True):
        votes += share * change
    up, down = votes > 0, votes < 0
    total, weight = np.zeros_like(votes), np.zeros_like(votes)
    for change, share in zip(trimmed, shares, strict=True):
        agrees = (((change > 0) & up) | ((change < 0) & down)) * share
        change *= agrees
        total += change
        weight += agrees
    weight += weight == 0  # where nobody agrees the total is 0
    return np.divide(total, weight, out=total)


def threshold(change: Floats, density: float) -> np.float32:
    """The least magnitude among the largest of a change, as many as `density` of all."""
    kept = max(1, round(density * change.size)) if change.size else 0
    if kept >= change.size:
        return np.float32(0)
    sizes = np.abs(change).reshape(-1)
    sizes.partition(change.size - kept)
    return np.float32(sizes[change.size - kept])


def _blocks(size: int) -> Iterator[slice]:
    """Parts of an array that stay in a processor's cache while they are worked on."""
    return (slice(at, at + _BLOCK) for at in range(0, size, _BLOCK))


def _dare(changes: Sequence[Floats], recipe: Recipe, name: str) -> Floats:
    flat = [change.reshape(-1) for change in changes]
    drawn = [chances(recipe.seed, at, name) for at in range(len(changes))]
    merged = np.zeros_like(flat[0])
    for part in _blocks(merged.size):
        total = merged[part]
        for one, chance, weight in zip(flat, drawn, recipe.weights, strict=True):
            is_kept = chance.random(total.size, dtype=np.float32) < recipe.density
            total += one[part] * (is_kept * np.float32(weight / recipe.density))
    return merged.reshape(changes[0].shape)


def chances(seed: int, model: int, name: str) -> np.random.Generator:
    """Of numbers for a weight of a model: its own, whatever was drawn before."""
    key = hashlib.sha256(f"{seed}/{model}/{name}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))
