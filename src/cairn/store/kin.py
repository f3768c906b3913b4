"""Finds the stored tensors nearest to a new one, by samples of their values."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cairn.domain import Digest
from cairn.store.backends import Backend
from cairn.store.conversions import conversion
from cairn.store.decays import share_a_ratio
from cairn.store.holdings import digests_under
from cairn.store.keys import SKETCHES
from cairn.store.sketches import Sketch, load_sketches, rounded

# Mean distance of sampled values in units of their mean size. Unrelated weights of one layer
# have about 1.1 (the difference of two independent normal numbers, sqrt(2)); a fine-tune 0.001
# to 0.1. Beyond this a difference takes no fewer bits than the value.
MAX_DISTANCE = 0.7

# Many tensors may hold the same values, such as the frozen layers of a hundred fine-tunes: so
# many are named, for the planner to tell apart.
MOST = 32

# Moments that decayed for many steps are far from what they were, in one ratio. They are looked
# for among so many tensors of the size that came last.
LATEST = 8

# Distances by 64 values are right to some 20 %: a second tensor this much farther is not nearer.
RIVAL_SHARE = 1.3


@dataclass(frozen=True, slots=True)
class Relative:
    """A stored tensor that a new one is near to."""

    blob: Digest
    sketch: Sketch
    distance: float


class Kin:
    """The sketches of one store in memory; used by one optimize at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: set[bytes] = set()
        self._by_elements: dict[int, list[tuple[Digest, Sketch]]] = defaultdict(list)

    def refresh(self) -> None:
        """Learn of the blobs that were rewritten since the last time."""
        for digest, _ in digests_under(self._backend, SKETCHES):
            if digest.raw not in self._known:
                self._known.add(digest.raw)
                self.add(digest, load_sketches(self._backend, digest))

    def add(self, blob: Digest, sketches: Iterable[Sketch]) -> None:
        """Learn of one blob."""
        self._known.add(blob.raw)
        for sketch in sketches:
            self._by_elements[sketch.elements].append((blob, sketch))

    def nearest(self, wanted: Sketch) -> list[Relative]:
        """Tensors that are near and can predict it, the nearest first.

        Few where one is clearly nearest. The latest added wins among equals: the previous step
        of a series. What blocks may have been quantised from comes before blocks: it is farther
        by what quantising rounds away, and yet the better prediction.
        """
        same: list[tuple[Digest, Sketch]] = []
        others: list[tuple[Digest, Sketch]] = []
        for known in reversed(self._by_elements.get(wanted.elements, [])):
            dtype = known[1].dtype
            if conversion(dtype, wanted.dtype) is not None:
                (same if dtype is wanted.dtype else others).append(known)
        if wanted.dtype.is_block_quantised:
            return _nearest(others, wanted) + _nearest(same, wanted)
        return _nearest(same + others, wanted) or _in_one_ratio(same, wanted)


def _nearest(known: list[tuple[Digest, Sketch]], wanted: Sketch) -> list[Relative]:
    """At most `MOST` of these."""
    if not known:
        return []
    distances = _distances(known, wanted)
    order = [int(n) for n in np.argsort(distances, kind="stable")]
    near = [n for n in order if distances[n] <= MAX_DISTANCE]
    chosen = [n for n in near[:MOST] if distances[n] <= RIVAL_SHARE * distances[near[0]]]
    return [Relative(*known[n], float(distances[n])) for n in chosen]


def _in_one_ratio(known: list[tuple[Digest, Sketch]], wanted: Sketch) -> list[Relative]:
    """The latest that the wanted values are in one ratio to."""
    for blob, sketch in known[:LATEST]:
        if share_a_ratio(sketch.values, wanted.values):
            (distance,) = _distances([(blob, sketch)], wanted)
            return [Relative(blob, sketch, float(distance))]
    return []


def _distances(known: list[tuple[Digest, Sketch]], wanted: Sketch) -> npt.NDArray[np.floating[Any]]:
    values = np.stack([sketch.values for _, sketch in known])  # (n, SAMPLES)
    values = rounded(values, wanted.dtype)  # so that a cast is no farther than a copy
    size = float(np.abs(wanted.values).mean()) or 1.0
    found: npt.NDArray[np.floating[Any]] = np.abs(values - wanted.values).mean(axis=1) / size
    return found
